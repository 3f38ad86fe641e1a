"""What makes training fast or small changes no result: parts of a batch, bfloat16, compiling, states that go."""

from __future__ import annotations

import json
import math
import os
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from detectors.errors import ConfigError
from tests.detectors.tiny_models import need_torch, write_causal

need_torch()
pytest.importorskip("peft", reason="peft is not installed: pip install 'foxing[train]' to run this test")

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

import curricula.training as training  # noqa: E402
from curricula.recipe import Recipe  # noqa: E402
from curricula.training import Job, Scratch, run_job  # noqa: E402
from curricula.trial import Arm, Trial, run_trial  # noqa: E402
from detectors.protocols import Device  # noqa: E402
from tests.curricula.training_data import write_texts  # noqa: E402

SMALL = Scratch(width=32, layers=1, heads=2, vocabulary=300)
QUICK = Recipe(block=32, batch=4, micro=2, tokens=3000, rate=3e-3)


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(write_texts(tmp_path / "t.parquet", 80))


def test_gradients_add_up_over_parts_of_a_batch(data: str, tmp_path: Path) -> None:
    for micro in (1, 4):
        run_job(Job((data,), scratch=SMALL, recipe=replace(QUICK, micro=micro)), tmp_path / f"{micro}")
    assert losses(tmp_path / "1") == pytest.approx(losses(tmp_path / "4"), rel=1e-4)


@pytest.mark.parametrize("based", [False, True])
def test_in_bfloat16_weights_stay_float32_and_losses_are_close(data: str, tmp_path: Path, *, based: bool) -> None:
    base = str(write_causal(tmp_path / "base")) if based else None
    for precision in ("float32", "bfloat16"):
        run_job(Job((data,), base=base, scratch=SMALL, recipe=QUICK, precision=precision), tmp_path / precision)
    assert losses(tmp_path / "float32") != losses(tmp_path / "bfloat16")
    assert losses(tmp_path / "bfloat16") == pytest.approx(losses(tmp_path / "float32"), rel=0.05)
    weights = load_file(tmp_path / "bfloat16" / "last" / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}


@pytest.mark.skipif(
    "FOXING_COMPILE" not in os.environ, reason="compiling takes a minute: set FOXING_COMPILE=1 to run this test"
)
def test_a_compiled_run_has_the_same_losses(data: str, tmp_path: Path) -> None:
    job = Job((data,), scratch=SMALL, recipe=replace(QUICK, tokens=600))
    run_job(job, tmp_path / "plain")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler
        run_job(replace(job, compiles=True), tmp_path / "compiled")
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: run on a machine with CUDA to train on it")
def test_a_run_on_a_gpu_is_close_to_one_on_a_cpu(data: str, tmp_path: Path) -> None:
    job = Job((data,), scratch=replace(SMALL, heads=1), recipe=replace(QUICK, block=128))
    run_job(replace(job, precision="float32"), tmp_path / "cpu", device=Device.CPU)
    run_job(job, tmp_path / "gpu", device=Device.CUDA)
    assert losses(tmp_path / "gpu") == pytest.approx(losses(tmp_path / "cpu"), rel=0.05)


def test_a_run_that_is_over_keeps_no_weights_but_its_model(data: str, tmp_path: Path) -> None:
    job = Job((data,), scratch=SMALL, recipe=replace(QUICK, ema=0.9))
    out = tmp_path / "out"
    first = run_job(job, out)
    assert [file.relative_to(out).parts[0] for file in out.rglob("*.safetensors")] == ["last"]
    model = (out / "last" / "model.safetensors").read_bytes()
    again = run_job(job, out)
    assert again.progress == first.progress
    assert (out / "last" / "model.safetensors").read_bytes() == model


def test_a_run_that_was_stopped_keeps_its_weights_until_its_model_is_written(data: str, tmp_path: Path) -> None:
    class Stop(Exception):  # noqa: N818 - not an error
        pass

    def stop(done: float, text: str) -> None:
        if done > 0.5:
            raise Stop

    out, job = tmp_path / "out", Job((data,), scratch=SMALL, recipe=replace(QUICK, keep_every=5))
    with pytest.raises(Stop):
        run_job(job, out, on_step=stop)
    assert {file.name for file in out.rglob("*.safetensors")} == {"weights.safetensors", "optimizer.safetensors"}


def test_a_run_whose_record_is_lost_is_refused_and_no_untrained_model_is_written(data: str, tmp_path: Path) -> None:
    job = Job((data,), scratch=SMALL, recipe=QUICK)
    run_job(job, tmp_path / "out")
    (tmp_path / "out" / "run.json").unlink()
    with pytest.raises(ConfigError, match="holds a run that is over"):
        run_job(job, tmp_path / "out")
    assert math.isfinite(run_job(job, tmp_path / "out", fresh=True).loss or math.nan)


def test_a_file_is_digested_once_however_many_runs_read_it(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    digest = training.digest

    def noted(uri: str) -> str:
        read.append(uri)
        return digest(uri)

    monkeypatch.setattr(training, "digest", noted)
    arms = (Arm("one", (data,)), Arm("two", (data,), shuffle=True))
    job = Job((), scratch=SMALL, recipe=replace(QUICK, tokens=500))
    run_trial(Trial(arms, job, (data,), seeds=(1, 2), limit=2), tmp_path / "out")
    assert len(read) == 1
    write_texts(Path(data), 81)  # another file under the same name is another run
    with pytest.raises(ConfigError, match="another recipe, model or data"):
        run_trial(Trial(arms, job, (data,), seeds=(1, 2), limit=2), tmp_path / "out")


def test_an_attention_that_is_not_there_is_refused(data: str) -> None:
    with pytest.raises(ConfigError, match="--attention 'magic'"):
        Job((data,), attention="magic")
