"""Manifests: read back as written, and never written when rows do not add up."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curricula.curate import Request, curate
from curricula.manifest import AccountingError, Manifest, accounting
from curricula.manifest_reader import read_manifest
from detectors.errors import InputError
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    patch_calibration(monkeypatch)
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": texts(80)}))
    findings = make_findings(tmp_path / "audit", [path])
    return curate(findings, RULES, tmp_path / "out", Request(drop=("FX101",), allow_loss=1.0)).manifest


def test_manifest_reads_back_as_written(tmp_path: Path, manifest: Manifest) -> None:
    assert read_manifest(tmp_path / "out" / "manifest.json") == manifest
    assert read_manifest(tmp_path / "out") == manifest


def test_sums_are_hex_text_because_json_numbers_lose_bits(tmp_path: Path, manifest: Manifest) -> None:
    record = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(record["inputs"][0]["content"]) == len(record["data"][0]["order"]) == 16


def test_rows_that_do_not_add_up_are_never_committed(tmp_path: Path, manifest: Manifest) -> None:
    (shard,) = manifest.inputs
    wrong: list[dict[str, Any]] = [
        {"kept": shard.kept - 1},
        {"rows": shard.rows + 1},
        {"content": shard.content ^ 1},
        {"once_content": shard.once_content ^ 1},
        {"kept_content": shard.kept_content ^ 1},
        {"dropped_by": {}},
    ]
    for changes in wrong:
        broken = dataclasses.replace(manifest, inputs=(dataclasses.replace(shard, **changes),))
        assert accounting(broken)
        with pytest.raises(AccountingError):
            broken.write(tmp_path / "never.json")
    assert not (tmp_path / "never.json").exists()
    (file,) = manifest.data
    for changes in ({"rows": file.rows - 1}, {"content": file.content ^ 1}, {"order": file.order ^ 1}):
        assert accounting(dataclasses.replace(manifest, data=(dataclasses.replace(file, **changes),)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "not a foxing manifest"),
        ('{"format": "foxing-manifest", "version": 99}', "version 99"),
        ('{"format": "foxing-manifest", "version": 4}', "damaged"),
        ('{"format": "foxing-manifest", "version": 1}', "this foxing reads 4"),
        ("NaN", "cannot be read"),
        ("7", "not a foxing manifest"),
        ("[" * 100_000, "cannot be read"),
        ("9" * 5_000, "cannot be read"),
        ('{"format": "foxing-manifest", "version": ' + "9" * 4_000 + "}", r"version 9{40}\.\.\."),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=said):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        ("data", "rows", "NaN"),
        ("data", "rows", "1e999"),
        ("data", "rows", "true"),
        ("data", "first", "9" * 30),
        ("data", "size_bytes", "-1"),
        ("data", "content", "7"),
        ("data", "path", "null"),
        ("data", "path", '{"a": 1}'),
        ("data", "series", '"elsewhere"'),
        ("inputs", "kept", "0.5"),
        ("inputs", "dropped_by", '{"FX101": "many"}'),
        ("inputs", "schema", '"////"'),
        ("series", "schema", '"no base64"'),
        ("inputs", "digest", "[]"),
    ],
)
def test_field_of_the_wrong_kind_is_one_line_and_no_traceback(
    tmp_path: Path, manifest: Manifest, where: str, name: str, value: str
) -> None:
    file = tmp_path / "out" / "manifest.json"
    record = json.loads(file.read_text())
    record[where][0][name] = "PLACEHOLDER"
    file.write_text(json.dumps(record).replace('"PLACEHOLDER"', value))
    with pytest.raises(InputError, match=r"is damaged|cannot be read") as caught:
        read_manifest(file)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


def test_absent_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_manifest(tmp_path / "manifest.json")
