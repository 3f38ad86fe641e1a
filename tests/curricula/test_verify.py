"""Verification finds whatever was changed after a curate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curricula.curate import Request, curate
from curricula.part_files import sha256
from curricula.verify import verify
from tests.corpora import awkward_table, write_parquet
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    patch_calibration(monkeypatch)
    paths = [
        write_parquet(tmp_path / "in" / f"{name}.parquet", awkward_table(90, seed))
        for name, seed in (("a", 1), ("b", 2))
    ]
    findings = make_findings(tmp_path / "audit", paths)
    curate(findings, RULES, tmp_path / "out", Request(drop=("FX101",), allow_loss=1.0))
    return tmp_path / "out"


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def forge(out: Path) -> None:
    """Record the digest that each file now has, as someone who covers traces would."""
    record = json.loads((out / "manifest.json").read_text())
    for receipt in (*record["data"], *record["dropped"]):
        receipt["sha256"] = hashlib.sha256((out / receipt["path"]).read_bytes()).hexdigest()
    (out / "manifest.json").write_text(json.dumps(record))


def replaced(table: pa.Table, row: int, value: str) -> pa.Table:
    values = table.column("text").to_pylist()
    values[row] = value
    return table.set_column(
        table.schema.get_field_index("text"), table.schema.field("text"), pa.array(values, pa.large_string())
    )


def test_untouched_output_verifies_with_its_inputs(out: Path) -> None:
    found = verify(out / "manifest.json")
    assert (found.problems, found.return_code) == ([], 0)
    assert (found.rows, found.inputs, found.absent) == (180, 2, [])


DATA, DROPPED = "data/part-00000.parquet", "dropped/part-00000.parquet"


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (DATA, lambda t: replaced(t, 5, "changed"), "not the recorded ones"),
        (DATA, lambda t: t.slice(1), "rows"),
        (DATA, lambda t: pa.concat_tables([t, t.slice(3, 1)]), "rows"),
        (DATA, lambda t: t.take(list(reversed(range(t.num_rows)))), "another order"),
        (DATA, lambda t: t.replace_schema_metadata({b"owner": b"y"}), "schema or metadata"),
        (DATA, lambda t: t.rename_columns(["k", *t.schema.names[1:]]), "schema or metadata"),
        (DROPPED, lambda t: replaced(t, 0, "changed"), "not the recorded ones"),
        (DROPPED, lambda t: t.set_column(t.num_columns - 5, "foxing_shard", pa.array(["a"] * t.num_rows)), "rows of"),
    ],
)
def test_changed_rows_are_found_even_when_digests_are_forged(
    out: Path, file: str, change: Callable[[pa.Table], pa.Table], said: str
) -> None:
    rewrite(out / file, change)
    forge(out)
    found = verify(out)
    assert found.return_code == 1
    assert any(said in problem for problem in found.problems), found.problems


def test_flipped_byte_is_found(out: Path) -> None:
    file = out / DATA
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)
    assert any(problem.startswith(f"{DATA}: its SHA-256") for problem in verify(out).problems)


def test_missing_extra_and_torn_files_are_named(out: Path) -> None:
    (out / "data" / "extra.parquet").write_bytes(b"")
    (out / DROPPED).unlink()
    (out / DATA).write_bytes(b"PAR1 torn")
    (out / "plan.parquet").unlink()
    problems = "\n".join(verify(out).problems)
    for said in (
        "data/extra.parquet: is not in the manifest",
        f"{DROPPED}: is missing",
        f"{DATA}: cannot be read",
        "plan.parquet",
    ):
        assert said in problems


def test_changed_input_is_found_and_absent_input_is_said(out: Path) -> None:
    write_parquet(out.parent / "in" / "a.parquet", awkward_table(90, 3))
    (out.parent / "in" / "b.parquet").unlink()
    found = verify(out)
    assert len(found.absent) == 1
    assert any("changed since it was curated" in problem for problem in found.problems)


@pytest.mark.parametrize("place", ["absolute", "above", "linked"])
@pytest.mark.parametrize("folder", ["data", "dropped", "plan"])
def test_path_that_leads_out_of_the_folder_is_named_and_never_read(
    out: Path, monkeypatch: pytest.MonkeyPatch, folder: str, place: str
) -> None:
    record = json.loads((out / "manifest.json").read_text())
    receipt = record["plan"] if folder == "plan" else record[folder][0]
    secret = out.parent / "secret.parquet"
    (out / receipt["path"]).rename(secret)
    receipt["path"] = {"absolute": str(secret), "above": "data/../../secret.parquet", "linked": "linked"}[place]
    (out / "linked").symlink_to(secret)
    (out / "manifest.json").write_text(json.dumps(record))
    read: list[Path] = []

    def digest(file: Path) -> str:
        read.append(file.resolve())
        return sha256(file)

    known = pq.ParquetFile

    def opened(file: Path | str, **options: Any) -> pq.ParquetFile:
        read.append(Path(file).resolve())
        return known(file, **options)

    monkeypatch.setattr("curricula.verify.sha256", digest)
    monkeypatch.setattr(pq, "ParquetFile", opened)
    found = verify(out)
    assert found.return_code == 1
    assert any(problem.startswith(f"{receipt['path']}: leads out of ") for problem in found.problems), found.problems
    assert read
    assert secret.resolve() not in read


def test_manifest_that_claims_other_rows_is_found(out: Path) -> None:
    record = json.loads((out / "manifest.json").read_text())
    record["inputs"][0]["kept"] -= 1
    (out / "manifest.json").write_text(json.dumps(record))
    assert any(problem.startswith("manifest: ") for problem in verify(out).problems)


@pytest.mark.parametrize("file", [DATA, DROPPED])
def test_name_of_a_column_that_is_no_utf8_is_said(out: Path, file: str) -> None:
    body = (out / file).read_bytes()
    assert b"\x04text" in body
    (out / file).write_bytes(body.replace(b"\x04text", b"\x04te\xff\xfe"))
    assert any(problem.startswith(f"{file}: cannot be read") for problem in verify(out).problems)


def test_name_of_a_shard_that_is_no_utf8_is_said(out: Path) -> None:
    def renamed(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index("foxing_shard")
        broken = pa.array([b"a\xff"] * table.num_rows, pa.binary()).view(pa.string())
        return table.set_column(at, table.schema.field("foxing_shard"), broken)

    rewrite(out / DROPPED, renamed)
    assert any(problem.startswith(f"{DROPPED}: cannot be read") for problem in verify(out).problems)
