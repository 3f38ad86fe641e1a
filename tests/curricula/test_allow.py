"""Rows on the allow-list: known by source or metadata, dropped by no FX1 rule, counted apart."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.config import AllowConfig
from audit.findings_folder import Findings
from curricula.curate import Request, curate, preview
from curricula.verify import verify
from detectors.errors import ConfigError, InputError
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration


@pytest.fixture(autouse=True)
def _calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    patch_calibration(monkeypatch)


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    """100 rows, all hit by FX101 and those from 91 on by FX201; half are of a source `made`."""
    meta = [{"url": f"https://{'a.b' if row % 4 else 'axb'}/{row}", "n": row} for row in range(100)]
    table = pa.table({"text": texts(100), "key": range(100), "meta": meta, "kind": ["x*"] * 50 + [None] * 50})
    path = write_parquet(tmp_path / "in" / "a.parquet", table)
    sources = ["made" if row % 2 else "web" for row in range(100)]
    return make_findings(tmp_path / "audit", [path], {"a.parquet": [0.9] * 100}, {"a.parquet": sources})


def request(allow: AllowConfig, *drop: str) -> Request:
    return Request(curriculum=("original",), drop=drop or ("FX101",), allow_loss=1.0, allow=allow)


def test_exempt_source_is_kept_and_counted_apart(tmp_path: Path, findings: Findings) -> None:
    made = curate(findings, RULES, tmp_path / "out", request(AllowConfig(source=("ma?e",))))
    kept = pq.read_table(tmp_path / "out" / "data").column("key").to_pylist()
    unmeasured = {30, 61, 92}
    assert set(kept) == {row for row in range(100) if row % 2} | unmeasured
    totals = made.manifest.totals()
    assert totals["exempt"] == totals["spared"] == 49, "row 61 was not measured, and has no source"
    assert made.manifest.sources["made"]["exempt"] == 49
    assert made.manifest.sources["web"]["exempt"] == 0
    assert made.manifest.totals()["kept"] == len(kept)
    assert verify(tmp_path / "out").problems == []


def test_hits_are_still_listed_and_other_rules_still_drop(tmp_path: Path, findings: Findings) -> None:
    found = preview(findings, RULES, request(AllowConfig(source=("made",)), "FX101", "FX201")).tally.total
    assert found.hits["FX101"] == 97
    assert (found.dropped["FX101"], found.dropped["FX201"]) == (48, 5), "91, 93, ... 99 are exempt from FX101 alone"
    assert (found.exempt, found.spared) == (49, 44)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"meta.url": ("https://a.b/*",)}, [row for row in range(100) if row % 4]),
        ({"meta.n": ("1?",)}, list(range(10, 20))),
        ({"kind": ("x*",)}, list(range(50))),
        ({"kind": ("?",)}, []),
        ({"kind": ("no",), "meta.n": ("7", "8")}, [7, 8]),
    ],
)
def test_patterns_match_whole_values_of_columns_and_fields(
    findings: Findings, columns: dict[str, tuple[str, ...]], expected: list[int]
) -> None:
    found = preview(findings, RULES, request(AllowConfig(column=columns)))
    assert found.tally.total.exempt == len(expected)


def test_column_that_is_not_there_is_refused_with_those_that_are(findings: Findings) -> None:
    with pytest.raises(ConfigError, match=r"'url' \(has: text, key, meta, kind\)"):
        preview(findings, RULES, request(AllowConfig(column={"url": ("*",)})))
    with pytest.raises(ConfigError, match="'meta', which is struct"):
        preview(findings, RULES, request(AllowConfig(column={"meta": ("*",)})))


def test_another_allow_list_is_another_request(tmp_path: Path, findings: Findings) -> None:
    curate(findings, RULES, tmp_path / "out", request(AllowConfig(source=("made",))))
    with pytest.raises(ConfigError, match="another request"):
        curate(findings, RULES, tmp_path / "out", request(AllowConfig(source=("web",))))


def test_file_that_lost_rows_is_refused(tmp_path: Path, findings: Findings) -> None:
    file = tmp_path / "in" / "a.parquet"
    write_parquet(file, pq.read_table(file).slice(0, 60))
    with pytest.raises(InputError, match="holds 60 rows, and more were scanned"):
        preview(findings, RULES, request(AllowConfig(column={"kind": ("x*",)})))
