"""Training: the same losses after a kill, over processes and as transformers has them; and no document sees another."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from detectors.errors import ConfigError, FoxingError, InputError
from tests.detectors.tiny_models import need_torch, write_causal

need_torch()
pytest.importorskip("peft", reason="peft is not installed: pip install 'foxing[train]' to run this test")

import torch  # noqa: E402

from curricula.cli import foxing  # noqa: E402
from curricula.encoding import Encoded, trained_tokenizer  # noqa: E402
from curricula.model import Decoder, EncoderDecoder, Pretrained, Shape, load_scratch, save_scratch  # noqa: E402
from curricula.packing import IGNORED, Packed, Place, pack, stacked  # noqa: E402
from curricula.packing import Row as PackedRow  # noqa: E402
from curricula.recipe import Recipe, pace  # noqa: E402
from curricula.trainer import loss_sum  # noqa: E402
from curricula.training import Job, Scratch, run_job  # noqa: E402
from tests.curricula.training_data import write_pairs, write_questions, write_texts  # noqa: E402

CPU = torch.device("cpu")
FOXING = (sys.executable, "-c", "from curricula.cli import main; main()")
SMALL = Scratch(width=32, layers=2, heads=2, vocabulary=300)
QUICK = Recipe(block=32, batch=4, micro=2, tokens=6000, rate=3e-3, keep_every=7)


def blocks_of(rows: list[np.ndarray], size: int, sources: list[np.ndarray] | None = None) -> list[Packed]:
    encoded = [
        Encoded(ids, np.ones(len(ids), np.bool_), None if sources is None else sources[at])
        for at, ids in enumerate(rows)
    ]
    return list(
        pack(
            lambda epoch, first: (PackedRow(at, each) for at, each in enumerate(encoded)),
            size,
            splits=False,
            pad=0,
            epochs=1,
        )
    )


def losses(out: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def models() -> list[Decoder | EncoderDecoder | Pretrained]:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = Shape(50, width=32, layers=2, heads=4, kv_heads=2, hidden=64, context=64)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
    )
    found = [Decoder(shape), EncoderDecoder(replace(shape, encoder_layers=2)), Pretrained(LlamaForCausalLM(config))]
    for model in found:  # weights large enough for differences to show
        for value in model.parameters():
            if value.dim() > 1:
                torch.nn.init.normal_(value, std=0.3)
    return found


@pytest.mark.parametrize("at", range(3), ids=["decoder", "encoder-decoder", "pretrained"])
def test_changing_one_document_of_a_block_changes_no_other_ones_loss(at: int) -> None:
    model = models()[at]
    draw = np.random.default_rng(1)
    rows = [draw.integers(1, 50, length) for length in (9, 14, 6)]
    sources = [draw.integers(1, 50, length) for length in (5, 8, 11)] if at == 1 else None
    other = [rows[0], draw.integers(1, 50, 14), rows[2]]
    changed = None if sources is None else [sources[0], draw.integers(1, 50, 8), sources[2]]
    with torch.inference_mode():
        found = [
            model.head(model.hidden(stacked(blocks_of(each, 32, source), CPU)))[0]
            for each, source in ((rows, sources), (other, changed))
        ]
    assert torch.equal(found[0][:9], found[1][:9])
    assert torch.equal(found[0][23:29], found[1][23:29])
    assert not torch.allclose(found[0][9:23], found[1][9:23])


@pytest.mark.parametrize("at", range(3), ids=["decoder", "encoder-decoder", "pretrained"])
def test_a_packed_document_has_the_loss_that_it_has_alone(at: int) -> None:
    model = models()[at]
    draw = np.random.default_rng(2)
    rows = [draw.integers(1, 50, length) for length in (9, 14, 6)]
    sources = [draw.integers(1, 50, length) for length in (5, 8, 11)] if at == 1 else None
    with torch.inference_mode():
        together = loss_sum(model, stacked(blocks_of(rows, 32, sources), CPU))
        alone = (
            [
                loss_sum(
                    model, stacked(blocks_of([row], len(row), None if sources is None else [sources[at_row]]), CPU)
                )
                for at_row, row in enumerate(rows)
            ]
            if at != 1
            else [
                loss_sum(model, stacked(blocks_of([row], 14, [sources[at_row]]), CPU))
                for at_row, row in enumerate(rows)
            ]
        )
    assert float(together) == pytest.approx(sum(map(float, alone)), rel=1e-5)


def test_loss_and_gradients_are_those_of_transformers() -> None:
    ours = models()[2]
    assert isinstance(ours, Pretrained)
    draw = np.random.default_rng(3)
    rows = [draw.integers(1, 50, 24) for _ in range(3)]
    block = stacked(blocks_of(rows, 24), CPU)
    count = int((block.targets != IGNORED).sum())
    (loss_sum(ours, block) / count).backward()
    gradients = {name: value.grad.clone() for name, value in ours.lm.named_parameters()}
    with torch.no_grad():
        mine = float(loss_sum(ours, block) / count)
    ours.zero_grad()
    reference = ours.lm(input_ids=block.ids, labels=block.ids)
    reference.loss.backward()
    assert mine == pytest.approx(float(reference.loss.detach()), rel=1e-5)
    for name, value in ours.lm.named_parameters():
        assert torch.allclose(gradients[name], value.grad, rtol=1e-4, atol=1e-5), name


def test_an_update_is_that_of_transformers_with_the_same_optimizer(tmp_path: Path) -> None:
    """One update by the trainer, with LoRA off, against a step written with transformers and torch alone."""
    from transformers import AutoModelForCausalLM

    base = write_causal(tmp_path / "base")
    data = write_texts(tmp_path / "t.parquet", 8)
    recipe = Recipe(block=32, batch=2, micro=2, tokens=64, rate=1e-2, schedule="constant", warmup=0.0)
    run_job(Job((str(data),), base=str(base), recipe=recipe), tmp_path / "out")
    from curricula.encoding import encoder_of
    from curricula.training_rows import open_rows

    model = AutoModelForCausalLM.from_pretrained(base)
    rows = open_rows([str(data)], encoder_of(base))
    blocks = []
    for block in pack(rows.read, 32, splits=True, pad=rows.encoder.pad, epochs=1):
        blocks.append(block)
        if len(blocks) == 2:
            break
    block = stacked(blocks, CPU)
    same = (block.document[:, :, None] == block.document[:, None, :]) & torch.ones(32, 32, dtype=torch.bool).tril()
    logits = model(input_ids=block.ids, attention_mask=same[:, None], position_ids=block.position).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), block.targets.flatten(), ignore_index=IGNORED).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    matrices = [value for value in model.parameters() if value.dim() > 1]
    others = [value for value in model.parameters() if value.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95)).step()
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "last").state_dict()
    for name, value in model.state_dict().items():
        assert torch.allclose(value, ours[name], rtol=1e-5, atol=1e-5), name


def test_a_decoder_from_scratch_is_one_of_transformers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = models()[0]
    assert isinstance(model, Decoder)
    save_scratch(model, tmp_path)
    ids = torch.arange(1, 21)[None]
    block = stacked(blocks_of([np.arange(1, 21)], 20), CPU)
    with torch.inference_mode():
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path)(input_ids=ids).logits
        ours = model.head(model.hidden(block))
    assert torch.allclose(theirs, ours, atol=1e-4)
    again = load_scratch(tmp_path)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))


def test_a_budget_of_tokens_is_met_to_the_token_whatever_the_rows(tmp_path: Path) -> None:
    write_questions(tmp_path / "qa.parquet", 40)
    for tokens in (999, 5000):
        outcome = run_job(
            Job((str(tmp_path / "qa.parquet"),), scratch=SMALL, recipe=replace(QUICK, tokens=tokens)),
            tmp_path / f"out-{tokens}",
        )
        assert outcome.progress.tokens == tokens


def test_row_order_is_training_order(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 120)
    run_job(
        Job((str(data),), scratch=SMALL, recipe=replace(QUICK, tokens=0, epochs=1, check_every=10)), tmp_path / "out"
    )
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    places = [(line["epoch"], line["row"]) for line in lines]
    assert places == sorted(places)
    assert places[-1] == (1, 0)


def foxing_once(asked: list[str]) -> None:
    subprocess.run([*FOXING, *asked], check=True, stdout=subprocess.DEVNULL)


def train_and_die(job_args: list[str], after_s: float) -> None:
    process = subprocess.Popen([*FOXING, *job_args], stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_losses_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 300)
    dev = write_texts(tmp_path / "dev.parquet", 20, seed=9)
    asked = [
        "train",
        str(data),
        "--dev",
        str(dev),
        "--width",
        "32",
        "--layers",
        "2",
        "--heads",
        "2",
        "--vocabulary",
        "300",
    ]
    asked += [
        "--block",
        "32",
        "--batch",
        "4",
        "--micro",
        "2",
        "--tokens",
        "16K",
        "--keep-every",
        "5",
        "--ema",
        "0.9",
        "-q",
    ]
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    began = time.monotonic()
    subprocess.run([*FOXING, *asked, "-o", str(calm)], check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - began
    draw = random.Random(4)
    for _ in range(3):
        train_and_die([*asked, "-o", str(killed)], took * draw.uniform(0.6, 0.95))
        if (killed / "run.json").exists():
            break
    subprocess.run([*FOXING, *asked, "-o", str(killed)], check=True, stdout=subprocess.DEVNULL)
    assert losses(calm) == losses(killed)
    for name in ("last/model.safetensors", "best/model.safetensors"):
        assert (calm / name).read_bytes() == (killed / name).read_bytes()


class Stop(Exception):  # noqa: N818 - not an error
    pass


@pytest.mark.parametrize("after", [1, 7, 8, 20])
def test_a_run_that_stops_after_any_update_goes_on_with_the_same_losses(tmp_path: Path, after: int) -> None:
    data = write_texts(tmp_path / "t.parquet", 120)
    job = Job((str(data),), scratch=SMALL, recipe=replace(QUICK, tokens=4000))
    run_job(job, tmp_path / "calm")
    left = [after]

    def die(done: float, text: str) -> None:
        left[0] -= 1
        if not left[0]:
            raise Stop

    with pytest.raises(Stop):
        run_job(job, tmp_path / "out", on_step=die)
    run_job(job, tmp_path / "out")
    assert losses(tmp_path / "out") == losses(tmp_path / "calm")
    last = "last/model.safetensors"
    assert (tmp_path / "out" / last).read_bytes() == (tmp_path / "calm" / last).read_bytes()


def test_a_run_that_is_done_is_left_as_it_is(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 60)
    job = Job((str(data),), scratch=SMALL, recipe=replace(QUICK, tokens=1000))
    run_job(job, tmp_path / "out")
    before = {file: file.stat().st_mtime_ns for file in sorted((tmp_path / "out").rglob("*")) if file.is_file()}
    run_job(job, tmp_path / "out")
    assert {file: file.stat().st_mtime_ns for file in before if file.name != "metrics.jsonl"} == {
        file: stamp for file, stamp in before.items() if file.name != "metrics.jsonl"
    }


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 60)
    job = Job((str(data),), scratch=SMALL, recipe=replace(QUICK, tokens=1000))
    run_job(job, tmp_path / "out")
    with pytest.raises(ConfigError, match="another recipe"):
        run_job(replace(job, recipe=replace(job.recipe, rate=1e-4)), tmp_path / "out")
    run_job(replace(job, recipe=replace(job.recipe, rate=1e-4)), tmp_path / "out", fresh=True)


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 120)
    asked = [
        "train",
        str(data),
        "--width",
        "32",
        "--layers",
        "2",
        "--heads",
        "2",
        "--vocabulary",
        "300",
        "--block",
        "32",
    ]
    asked += ["--batch", "4", "--micro", "2", "--tokens", "3K", "--device", "cpu", "-q"]
    subprocess.run(
        [*FOXING, *asked, "-o", str(tmp_path / "one")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    (tmp_path / "foxing.py").write_text(FOXING[2])
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*launch, str(tmp_path / "foxing.py"), *asked, "-o", str(tmp_path / "two")],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=120,
    )
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert [step for step, _ in one] == [step for step, _ in two]
    assert [loss for _, loss in two] == pytest.approx([loss for _, loss in one], rel=1e-5)


def test_development_rows_stop_a_run_that_overfits_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 6, seed=1)
    dev = write_texts(tmp_path / "dev.parquet", 30, seed=2)
    recipe = Recipe(block=32, batch=2, micro=2, epochs=60, rate=1e-2, patience=2)
    job = Job((str(data),), dev=(str(dev),), scratch=SMALL, recipe=recipe)
    stopped = run_job(job, tmp_path / "early").progress
    whole = run_job(replace(job, recipe=replace(recipe, to_convergence=True)), tmp_path / "late").progress
    assert stopped.place.epoch < 60 == whole.place.epoch
    assert stopped.best is not None
    looks = [
        json.loads(line).get("dev_loss") for line in (tmp_path / "early" / "metrics.jsonl").read_text().splitlines()
    ]
    assert stopped.best == min(look for look in looks if look is not None)
    record = json.loads((tmp_path / "early" / "run.json").read_text())
    assert record["model"] == "best"
    best, last = (tmp_path / "early" / name / "model.safetensors" for name in ("best", "last"))
    assert best.read_bytes() != last.read_bytes()


def test_an_encoder_decoder_learns_to_write_capitals(tmp_path: Path) -> None:
    from curricula.generate import generate
    from curricula.writing import Sampling

    data = write_pairs(tmp_path / "pairs.parquet", 400)
    held = write_pairs(tmp_path / "held.parquet", 30, seed=5)
    recipe = Recipe(block=64, batch=4, micro=4, epochs=25, rate=5e-3)
    scratch = Scratch(width=64, layers=1, heads=2, encoder_layers=1, vocabulary=330)
    run_job(Job((str(data),), scratch=scratch, recipe=recipe), tmp_path / "out")
    written, left = generate(
        str(tmp_path / "out" / "last"), [str(held)], tmp_path / "gen", Sampling(temperature=0.0, max_tokens=16)
    )
    assert (written, left) == (30, 0)
    table = pq.read_table(tmp_path / "gen" / "data")
    right = [row["tgt"] == row["src"].upper() for row in table.to_pylist()]
    assert np.mean(right) >= 0.7  # one in 17 by chance, and only if the length is right


def test_low_rank_updates_leave_the_base_as_it_was_and_come_merged(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base = write_causal(tmp_path / "base")
    data = write_questions(tmp_path / "qa.parquet", 40)
    recipe = Recipe(block=32, batch=4, micro=4, epochs=4, rate=1e-2)
    run_job(Job((str(data),), base=str(base), recipe=recipe, lora_rank=4), tmp_path / "out")
    before = AutoModelForCausalLM.from_pretrained(base).state_dict()
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "last").state_dict()
    assert before.keys() == after.keys()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed and all(name.endswith("proj.weight") for name in changed)


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
def test_a_rate_goes_up_stays_positive_and_ends_where_it_should(schedule: str) -> None:
    recipe = Recipe(schedule=schedule, warmup=0.1, floor=0.1)
    found = [pace(done / 100, recipe) for done in range(101)]
    assert found[0] == 0 and found[10] == pytest.approx(1.0)
    assert found[-1] == pytest.approx(1.0 if schedule == "constant" else 0.1)
    assert all(one >= other for one, other in itertools.pairwise(found[10:]))


def test_bad_requests_end_in_one_clear_error(tmp_path: Path) -> None:
    runner = CliRunner()
    data = write_texts(tmp_path / "t.parquet", 10)
    for asked, message in (
        ([str(tmp_path / "none.parquet")], "none.parquet"),
        ([str(data), "--base", "nowhere/at all"], "nowhere/at all"),
        ([str(data), "--block", "0"], "block is 0"),
        ([str(data), "--width", "33"], "width 33"),
        ([str(data), "--text", "body"], "no column 'body'"),
        ([str(data), "--template", "{answer}"], "lacks {prompt}"),
        ([str(data), "--encoder-layers", "1"], "no pairs"),
        ([str(data), "--lora", "4"], "--lora"),
    ):
        result = runner.invoke(foxing, ["train", *asked, "-o", str(tmp_path / "out"), "--device", "cpu"])
        assert isinstance(result.exception, FoxingError), (asked, result.output)
        assert message in str(result.exception)
    assert runner.invoke(foxing, ["train", str(data), "-o", "x", "--tokens", "many"]).exit_code == 2


def test_the_command_trains_and_says_what_it_did(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 60)
    asked = ["train", str(data), "-o", str(tmp_path / "out"), "--width", "32", "--layers", "1", "--heads", "2"]
    asked += ["--vocabulary", "300", "--block", "32", "--batch", "4", "--epochs", "2", "--device", "cpu"]
    result = CliRunner().invoke(foxing, asked)
    assert result.exception is None, result.output
    assert "2.0 passes over" in result.output
    assert str(tmp_path / "out" / "last") in result.output


def test_tokenizer_of_a_run_is_learnt_once_and_knows_every_byte() -> None:
    encoder = trained_tokenizer(["the house"] * 10, 300)
    text = "naïve 鳥 🐦\n\t"
    assert encoder.tokenizer.decode(encoder.ids(text).tolist()) == text


def test_pairs_of_plain_text_are_refused(tmp_path: Path) -> None:
    data = write_texts(tmp_path / "t.parquet", 10)
    with pytest.raises(InputError, match="no pairs"):
        run_job(Job((str(data),), scratch=replace(SMALL, encoder_layers=1), recipe=QUICK), tmp_path / "out")


def test_a_place_is_part_of_the_state(tmp_path: Path) -> None:
    from curricula.checkpoints import latest

    data = write_texts(tmp_path / "t.parquet", 60)
    run_job(Job((str(data),), scratch=SMALL, recipe=replace(QUICK, tokens=1000)), tmp_path / "out")
    found = latest(tmp_path / "out")
    assert found is not None and found[1].is_done and found[1].place > Place()


def test_generated_rows_keep_their_columns_and_name_who_wrote(tmp_path: Path) -> None:
    base = write_causal(tmp_path / "base")
    table = pa.table({"id": list(range(9)), "question": [*("the dog?",) * 8, None], "answer": ["hill"] * 9})
    pq.write_table(table, tmp_path / "qa.parquet")
    asked = ["generate", str(base), str(tmp_path / "qa.parquet"), "-o", str(tmp_path / "gen"), "--max-tokens", "6"]
    result = CliRunner().invoke(foxing, [*asked, "--part", "4", "--label", "tiny", "--device", "cpu"])
    assert result.exception is None, result.output
    assert "8 rows written" in result.output and "1 rows without a prompt" in result.output
    found = pq.read_table(tmp_path / "gen" / "data")
    assert found.column_names == ["id", "question", "answer", "generator"]
    assert found["id"].to_pylist() == list(range(8))
    assert set(found["generator"].to_pylist()) == {"tiny"}
    first = sorted((tmp_path / "gen" / "data").glob("part-*"))
    kept = [file.read_bytes() for file in first]
    first[-1].unlink()
    assert CliRunner().invoke(foxing, [*asked, "--part", "4", "--label", "tiny", "--device", "cpu"]).exception is None
    assert [file.read_bytes() for file in first] == kept
    refused = CliRunner().invoke(foxing, [*asked, "--part", "4", "--label", "tiny", "--device", "cpu", "--seed", "5"])
    assert isinstance(refused.exception, ConfigError)
