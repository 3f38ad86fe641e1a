"""Which fields of findings are read: binary ones stay in the files of the parts."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from audit.assess import assess
from audit.rules import rules_from
from detectors.errors import ConfigError
from tests.audit import judging

MIXED = pa.schema([("vector", pa.binary(4)), ("blob", pa.large_binary()), ("norm", pa.float32())])
VECTOR = pa.schema([("vector", pa.binary(4))])
ROWS = [
    {**judging.row(), "mixed": {"vector": b"1234", "blob": b"x", "norm": 0.5}, "vectors": {"vector": b"1234"}},
    {**judging.row(), "mixed": None, "vectors": None},
]


@pytest.fixture
def schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(judging.SCHEMAS, "mixed", MIXED)
    monkeypatch.setitem(judging.SCHEMAS, "vectors", VECTOR)


@pytest.mark.usefixtures("schemas")
def test_binary_fields_are_not_read(tmp_path: Path) -> None:
    (part,) = judging.write_findings(tmp_path, {"a": ROWS}, signals=("document", "mixed")).parts()
    assert part.schema["mixed"] == pl.Struct({"norm": pl.Float32})
    assert part["mixed"].is_null().to_list() == [False, True]


@pytest.mark.usefixtures("schemas")
@pytest.mark.parametrize("fields", [None, {"document": frozenset({"words"})}])
def test_a_signal_of_binary_fields_alone_still_says_where_it_is_null(
    tmp_path: Path, fields: dict[str, frozenset[str] | None] | None
) -> None:
    findings = judging.write_findings(tmp_path, {"a": ROWS}, signals=("document", "vectors"))
    (part,) = findings.parts(fields)
    assert part["vectors"].is_null().to_list() == [False, True] and part["unmeasured"].to_list() == [0, 1]


@pytest.mark.usefixtures("schemas")
def test_a_rule_over_a_binary_field_names_the_fields_there_are(tmp_path: Path) -> None:
    findings = judging.write_findings(tmp_path, {"a": ROWS}, signals=("document", "mixed"))
    rules = rules_from({"XX101": {"name": "x", "when": "mixed.vector IS NOT NULL", "budget": 0.1}})
    with pytest.raises(ConfigError, match="no field 'vector' in 'mixed'"):
        assess(findings, rules)
