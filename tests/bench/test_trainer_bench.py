"""The bench of the trainer: runs where there is no GPU, says so, and claims no utilisation there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.detectors.tiny_models import need_torch

need_torch()
pytest.importorskip("peft", reason="peft is not installed: pip install 'foxing[train]' to run this test")

import torch  # noqa: E402

from curricula.encoding import trained_tokenizer  # noqa: E402
from curricula.packing import pack  # noqa: E402
from curricula.training_rows import open_rows  # noqa: E402
from tests.bench import trainer  # noqa: E402


def test_without_a_gpu_a_tiny_model_is_timed_and_the_result_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: python -m tests.bench.trainer measures it")
    small = trainer.SCALES["cpu"]
    small = replace(small, recipe=replace(small.recipe, tokens=6000))
    monkeypatch.setitem(trainer.SCALES, "cpu", small)
    assert trainer.main(["-o", str(tmp_path)]) == 0
    assert "no GPU" in capsys.readouterr().err
    record = json.loads(next(tmp_path.glob("trainer-cpu-*.json")).read_text())
    assert (record["schema"], record["scale"], record["device"]) == (trainer.SCHEMA, "cpu", "cpu")
    assert record["peak_bfloat16_flops"] is None and "nothing about training on a GPU" in record["note"]
    assert [case["name"] for case in record["cases"]] == ["whole", "packed-mask"]
    assert all(case["mfu"] is None and case["tokens_per_s"] > 0 and case["tokens"] == 6000 for case in record["cases"])


@pytest.mark.parametrize("documents", [1, 4])
def test_documents_fill_their_blocks(tmp_path: Path, documents: int) -> None:
    rows = trainer.write_rows(tmp_path / "rows.parquet", 64, documents, 2000)
    data = open_rows([str(rows)], trained_tokenizer([], 0))
    blocks = list(pack(data.read, 64, splits=True, pad=data.encoder.pad, epochs=1))
    assert all(block.document.max() == documents - 1 and block.tokens == 64 for block in blocks[:-1])


def test_the_timed_model_is_of_the_published_size() -> None:
    with torch.device("meta"):
        model = trainer.Decoder(trainer.SCALES["gpu"].shape)
    assert sum(value.numel() for value in model.parameters()) == 134_515_008
