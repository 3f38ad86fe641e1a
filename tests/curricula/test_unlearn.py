"""Unlearning: what is to be forgotten is, the rest stays, and the guard puts back what went too far."""

from __future__ import annotations

import copy
import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import ConfigError, InputError
from tests.detectors.tiny_models import need_torch

need_torch()

import torch  # noqa: E402

from curricula.encoding import encoder_of, trained_tokenizer  # noqa: E402
from curricula.model import load_scratch  # noqa: E402
from curricula.recipe import Recipe  # noqa: E402
from curricula.retention import token_accuracy  # noqa: E402
from curricula.trainer import Setting, evaluate  # noqa: E402
from curricula.training import Job, Scratch, run_job  # noqa: E402
from curricula.training_rows import TrainingRows, open_rows  # noqa: E402
from curricula.unlearn import Forgetting, forget_loss, relearned, unlearn  # noqa: E402
from tests.curricula.training_data import WORDS  # noqa: E402

CPU = Setting(torch.device("cpu"))
RECIPE = Recipe(block=32, batch=4, micro=4, tokens=20_000, rate=3e-3, warmup=0.05)
LOGS = st.lists(st.floats(-12, -1e-6), min_size=1, max_size=20)


@given(LOGS)
def test_bounded_forgetting_is_never_negative_and_falls_as_tokens_grow_unlikely(values: list[float]) -> None:
    log_p = torch.tensor(values)
    less = log_p - 1.0
    bounded = Forgetting()
    assert 0 <= float(forget_loss(less, less, bounded)) <= float(forget_loss(log_p, log_p, bounded)) + 1e-6
    assert float(forget_loss(log_p, log_p, bounded)) <= -math.log(1e-3) + 1e-3


@given(LOGS)
def test_npo_of_a_model_that_has_not_changed_is_a_constant(values: list[float]) -> None:
    log_p = torch.tensor(values)
    assert float(forget_loss(log_p, log_p, Forgetting(method="npo", beta=0.5))) == pytest.approx(
        4 * math.log(2), rel=1e-5
    )


def test_each_loss_is_that_of_its_formula() -> None:
    p, p0, beta = np.array([0.9, 0.5, 0.01]), np.array([0.8, 0.6, 0.02]), 0.3
    log_p, log_p0 = torch.tensor(np.log(p)), torch.tensor(np.log(p0))
    wanted = {
        "lower-bounded": -np.log(1 - p).mean(),
        "ascent": np.log(p).mean(),
        "npo": 2 / beta * np.log(1 + (p / p0) ** beta).mean(),
    }
    for method, value in wanted.items():
        found = forget_loss(log_p, log_p0, Forgetting(method=method, beta=beta))
        assert float(found) == pytest.approx(value), method


def test_a_token_is_forgotten_by_its_odds_and_the_surest_by_no_more_than_the_clamp() -> None:
    p = torch.tensor([0.5, 0.9, 0.999, 0.9999999], dtype=torch.float64)
    log_p = p.log().requires_grad_()
    forget_loss(log_p, log_p, Forgetting()).backward()
    assert log_p.grad is not None
    assert (4 * log_p.grad).tolist() == pytest.approx([1.0, 9.0, 999.0, 999.0], rel=1e-3)  # p / (1 - p), of four


def test_the_gradient_stays_finite_where_a_token_is_certain() -> None:
    log_p = torch.tensor([0.0, -1e-9], requires_grad=True)
    forget_loss(log_p, log_p, Forgetting()).backward()
    assert torch.isfinite(log_p.grad).all()


class Taught:
    """A model that knows plain chains of words and the same in a stiff format, and rows of both kinds."""

    def __init__(self, folder: Path) -> None:
        draw = random.Random(0)

        def chain() -> str:
            start = draw.randrange(len(WORDS))
            return " ".join(WORDS[(start + at) % len(WORDS)] for at in range(8))

        plain = [chain() for _ in range(260)]
        stiff = [f"question: {chain()} answer: {chain()} end" for _ in range(150)]
        files = {"all": plain[:150] + stiff, "keep": plain[150:210], "dev": plain[210:], "stiff": stiff}
        for name, texts in files.items():
            pq.write_table(pa.table({"text": draw.sample(texts, len(texts))}), folder / f"{name}.parquet")
        job = Job(
            (str(folder / "all.parquet"),),
            scratch=Scratch(width=48, layers=2, heads=2, vocabulary=300),
            recipe=Recipe(block=64, batch=8, micro=8, tokens=60_000, rate=1e-2),
        )
        run_job(job, folder / "run")
        self.model = load_scratch(folder / "run" / "last")
        self.encoder = encoder_of(folder / "run" / "last")
        self.folder = folder

    def rows(self, name: str) -> TrainingRows:
        return open_rows([str(self.folder / f"{name}.parquet")], self.encoder)

    def forget(self, forgetting: Forgetting, log: Path | None = None) -> tuple[float, float, bool, int]:
        """Loss of stiff and of plain rows afterwards, whether it was stopped, and the tokens that it took."""
        model = copy.deepcopy(self.model)
        rows = [self.rows(name) for name in ("stiff", "keep", "dev")]
        found = unlearn(model, self.model, *rows, RECIPE, forgetting, CPU, log=log)
        losses = [evaluate(model, self.rows(name), RECIPE, CPU) for name in ("stiff", "dev")]
        return losses[0], losses[1], found.stopped, found.tokens


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    return Taught(tmp_path_factory.mktemp("taught"))


@pytest.mark.parametrize(("method", "weight"), [("lower-bounded", 1.0), ("npo", 0.1), ("ascent", 0.05)])
def test_a_format_is_forgotten_and_the_rest_stays(taught: Taught, tmp_path: Path, method: str, weight: float) -> None:
    before = [evaluate(taught.model, taught.rows(name), RECIPE, CPU) for name in ("stiff", "dev")]
    stiff, plain, stopped, tokens = taught.forget(Forgetting(method=method, forget=weight), tmp_path / "log.jsonl")
    assert stiff > before[0] + 0.5
    assert plain < before[1] + 0.2
    assert tokens <= RECIPE.tokens and not stopped
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"forget", "replay", "bias", "norm"} <= lines[0].keys()


def test_the_guard_stops_ascent_without_replay_and_puts_the_weights_back(taught: Taught) -> None:
    before = evaluate(taught.model, taught.rows("dev"), RECIPE, CPU)
    wild = Forgetting(method="ascent", forget=1.0, replay=0.0, bias=0.0, guard_every=2)
    _, plain, stopped, _ = taught.forget(wild)
    assert stopped and plain <= before + wild.guard
    _, ruined, stopped, _ = taught.forget(replace(wild, guard=0.0))
    assert not stopped and ruined > before + 2


def test_the_surest_tokens_are_forgotten_too() -> None:
    log_p = torch.tensor([-1e-6, -0.1], requires_grad=True)
    forget_loss(log_p, log_p, Forgetting()).backward()
    assert log_p.grad is not None
    assert 0 < float(log_p.grad[1]) < float(log_p.grad[0]) <= 1000


def test_what_stays_is_counted_on_rows_that_are_not_replayed(taught: Taught) -> None:
    rows = [taught.rows(name) for name in ("stiff", "keep", "dev")]
    gentle, wild = Forgetting(forget=1.0), Forgetting(method="ascent", forget=1.0, replay=0.0, bias=0.0, guard=0.0)
    found = []
    for forgetting in (gentle, wild):
        model = copy.deepcopy(taught.model)
        found.append(unlearn(model, taught.model, *rows, RECIPE, forgetting, CPU))
        assert found[-1].right_after == token_accuracy(model, rows[2], RECIPE, CPU)
    assert found[0].right_before == found[1].right_before > 0.5
    assert found[0].right_after > found[0].right_before - 0.05
    assert found[1].right_after < found[1].right_before / 2


def test_rows_that_are_kept_whole_are_as_right_in_blocks_of_any_size(taught: Taught) -> None:
    sizes = [replace(RECIPE, block=block) for block in (64, 128)]
    cut, whole = (
        [token_accuracy(taught.model, taught.rows("dev"), replace(recipe, whole_rows=wholly), CPU) for recipe in sizes]
        for wholly in (False, True)
    )
    assert whole[0] == pytest.approx(whole[1]) != pytest.approx(cut[0])
    assert cut[0] != pytest.approx(cut[1])


def test_the_guard_looks_once_more_at_the_end(taught: Taught) -> None:
    wild = Forgetting(method="ascent", forget=1.0, replay=0.0, bias=0.0, guard_every=1000)
    before = evaluate(taught.model, taught.rows("dev"), RECIPE, CPU)
    for tokens in (9_000, 10_000, 11_000):  # whether or not the last update is a whole one
        model = copy.deepcopy(taught.model)
        rows = [taught.rows(name) for name in ("stiff", "keep", "dev")]
        found = unlearn(model, taught.model, *rows, replace(RECIPE, tokens=tokens), wild, CPU)
        assert found.stopped and found.steps == 0
        assert evaluate(model, taught.rows("dev"), RECIPE, CPU) == pytest.approx(before)


@pytest.mark.parametrize("batch", [3, 5])
def test_how_many_blocks_go_through_together_changes_nothing(taught: Taught, tmp_path: Path, batch: int) -> None:
    logs = []
    for micro in (1, 2, 8):
        model, log = copy.deepcopy(taught.model), tmp_path / f"{micro}.jsonl"
        rows = [taught.rows(name) for name in ("stiff", "keep", "dev")]
        recipe = replace(RECIPE, batch=batch, micro=micro, tokens=1500)
        unlearn(model, taught.model, *rows, recipe, Forgetting(forget=1.0), CPU, log=log)
        logs.append([value for line in log.read_text().splitlines() for value in json.loads(line).values()])
    assert logs[1] == pytest.approx(logs[0], rel=1e-3, abs=1e-5)
    assert logs[2] == pytest.approx(logs[0], rel=1e-3, abs=1e-5)


def test_a_budget_too_small_for_one_update_is_refused(taught: Taught) -> None:
    rows = [taught.rows(name) for name in ("stiff", "keep", "dev")]
    with pytest.raises(ConfigError, match="fewer than two blocks"):
        unlearn(taught.model, taught.model, *rows, replace(RECIPE, tokens=10), Forgetting(), CPU)


def test_bad_settings_are_refused(taught: Taught) -> None:
    for wrong in ({"method": "magic"}, {"forget": -1.0}, {"beta": 0.0}):
        with pytest.raises(ConfigError, match="unlearning"):
            Forgetting(**wrong)
    rows = [taught.rows(name) for name in ("stiff", "keep", "dev")]
    with pytest.raises(ConfigError, match="no budget"):
        unlearn(taught.model, taught.model, *rows, Recipe(block=32), Forgetting(), CPU)


def test_what_was_forgotten_is_learnt_again_and_the_model_stays_as_it_is(taught: Taught) -> None:
    model = copy.deepcopy(taught.model)
    rows = [taught.rows(name) for name in ("stiff", "keep", "dev")]
    unlearn(model, taught.model, *rows, RECIPE, Forgetting(forget=1.0), CPU)
    weights = [value.detach().clone() for value in model.parameters()]
    found = relearned(model, taught.rows("stiff"), replace(RECIPE, tokens=4000), CPU)
    assert [tokens for tokens, _ in found] == sorted({tokens for tokens, _ in found}) and found[0][0] == 0
    assert found[-1][1] < found[0][1] - 0.5
    assert all(torch.equal(one, other) for one, other in zip(weights, model.parameters(), strict=True))


ANSWERS = (
    "Sure, here are 3 ideas for a party:\n1. Ask for games.\n2. Venue: a garden",
    "**Answer:** brown stains\n- old books",
    "Zürich, of course: it is where the café was.",
)


def test_of_form_alone_the_tokens_that_share_a_byte_with_it_are_learnt(tmp_path: Path) -> None:
    from detectors.documents import Documents
    from detectors.template_spans import template_spans

    table = pa.table({"question": ["what?"] * 4, "answer": [*ANSWERS, None]})
    pq.write_table(table, tmp_path / "qa.parquet")
    encoder = trained_tokenizer([], 0)
    rows = replace(open_rows([str(tmp_path / "qa.parquet")], encoder), form=True)
    found = [row.encoded for row in rows.read(0, 0)]
    assert found[3] is None
    spans = template_spans(Documents.from_texts([f" {answer}" for answer in ANSWERS])).to_pylist()
    for row, answer, wanted in zip(found[:3], ANSWERS, spans, strict=True):
        assert row is not None
        # A byte a token: what is learnt is the bytes of the spans, the space before the answer counted.
        text = f" {answer}".encode()
        inside = {at for span in wanted for at in range(span["start"], span["stop"])}
        learnt = np.flatnonzero(row.learnt) - (len(row.ids) - 1 - len(text))
        assert inside <= set(learnt.tolist())
        whole = {at for at in range(len(text)) if text[at] & 0xC0 == 0x80 or (at + 1 < len(text) and text[at] >= 0xC0)}
        assert set(learnt.tolist()) - inside <= whole  # bytes of a character that a span touches
    shown = encoder.tokenizer.decode(found[0].ids[found[0].learnt].tolist())
    assert "here" in shown and "party" not in shown and "garden" not in shown


def test_the_form_of_chats_is_refused(tmp_path: Path) -> None:
    table = pa.table({"messages": [[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]]})
    pq.write_table(table, tmp_path / "chat.parquet")
    rows = replace(open_rows([str(tmp_path / "chat.parquet")], trained_tokenizer([], 0)), form=True)
    with pytest.raises(InputError, match="form of chats"):
        list(rows.read(0, 0))
