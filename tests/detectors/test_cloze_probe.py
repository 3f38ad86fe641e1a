"""Continuations and the signal `cloze` against whole logits, and against a model that was taught some facts."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from detectors.cloze import drawn
from detectors.cloze_probe import ClozeProbe
from detectors.conformance import awkward_documents, check_signal
from detectors.continuation import Continuations, split
from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.language_model import LanguageModel, load_language_model
from detectors.protocols import Device
from detectors.tokens import Tokens
from tests.detectors.test_knowledge import write_letter_model
from tests.detectors.tiny_models import need_torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_torch()
    folder = tmp_path_factory.mktemp("letters")
    write_letter_model(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> LanguageModel:
    return load_language_model(str(folder), Device.CPU, precision="float32")


def plainly(
    model: LanguageModel, context: str, answer: str, *, temperature: float, top_k: int
) -> tuple[float, float, bool]:
    """By whole logits of one text; a token of this model is a byte."""
    import torch

    said = model.tokens.ids(answer).tolist()
    ids = [*model.tokens.ids(context).tolist(), *said]
    with torch.inference_mode():
        logits = model.model(torch.tensor([ids])).logits[0, len(ids) - len(said) - 1 :].double()
    names = [model.tokens.tokenizer.id_to_token(token) for token in range(model.vocabulary)]
    # In the alphabet of bytes, most letters above ASCII stand for parts of characters, Ġ and such for white space.
    ends = torch.tensor([(name < "\x7f" and not name.isalnum()) or name in _SPACES for name in names])
    p = torch.softmax(logits, 1)
    total = sum(float(p[at, token].log()) for at, token in enumerate(said)) + float(p[-1][ends].sum().log())
    top = logits.topk(top_k, 1)
    weights = torch.softmax(top.values / temperature, 1)
    taken = 1.0
    for at, token in enumerate(said):
        taken *= float((weights[at] * (top.indices[at] == token)).sum())
    taken *= float((weights[-1] * ends[top.indices[-1]]).sum())
    likeliest = logits.argmax(1).tolist()
    return total, taken, likeliest[:-1] == said and bool(ends[likeliest[-1]])


_SPACES = tuple(chr(256 + at) for at in range(34))  # 0x00 to 0x20 and 0x7f, as byte-level tokenizers write them


def test_continuations_are_judged_as_by_whole_logits(model: LanguageModel) -> None:
    judge = Continuations.of(model, temperature=0.5, top_k=40)
    texts = [("The port was closed in ", str(year)) for year in range(1900, 1911)]
    texts += [("A longer context that goes to another batch, in ", "Orsk"), ("Paren (", "Ünal of Ö")]
    pairs = [split(model.tokens, *text) for text in texts]
    found = judge.judge([context for context, _ in pairs], [answer for _, answer in pairs])
    for at, (context, answer) in enumerate(texts):
        gap = " " if context.endswith(" ") else ""
        log_p, taken, greedy = plainly(model, context.rstrip(), gap + answer, temperature=0.5, top_k=40)
        assert found.log_p[at] == pytest.approx(log_p, rel=1e-4)
        assert found.sampled[at] == pytest.approx(taken, rel=1e-3, abs=1e-12)
        assert found.greedy[at] == greedy


def test_a_greedy_continuation_is_found_and_a_part_of_a_word_is_not(model: LanguageModel) -> None:
    import torch

    context = "The port was closed in"
    ids = model.tokens.ids(context).tolist()
    for _ in range(30):
        with torch.inference_mode():
            ids.append(int(model.model(torch.tensor([ids])).logits[0, -1].argmax()))
    said = ids[len(model.tokens.ids(context)) :]
    judge = Continuations.of(model, temperature=0.5, top_k=40)
    ends = judge.ends.tolist()
    for size in range(1, 30):
        answer = np.array(said[:size], np.int64)
        greedy = judge.judge([model.tokens.ids(context)], [answer]).greedy
        assert greedy.tolist() == [ends[said[size]]]


def test_what_ends_a_word(model: LanguageModel) -> None:
    judge = Continuations.of(model, temperature=0.5, top_k=40)
    ends = {model.tokens.tokenizer.id_to_token(token) for token in np.flatnonzero(judge.ends.numpy()).tolist()}
    assert {"Ġ", ".", ",", "Ċ"} <= ends and not {"a", "Z", "7", "Ã"} & ends


def test_what_ends_a_word_where_tokens_hold_the_space_before_them(model: LanguageModel) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pieces = ("a", "▁", "▁dog", "s", ".", "’", "\u0301", "é", "<eos>")
    tokenizer = Tokenizer(models.BPE({piece: at for at, piece in enumerate(pieces)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.add_special_tokens(["<eos>"])
    other = dataclasses.replace(model, tokens=Tokens.of(tokenizer), vocabulary=len(pieces) + 2)
    ends = Continuations.of(other, temperature=1.0, top_k=5).ends.tolist()
    expected = {"▁", "▁dog", ".", "’", "<eos>"}
    assert ends == [*(piece in expected for piece in pieces), False, False]


def test_an_item_is_the_same_in_any_company(model: LanguageModel) -> None:
    judge = Continuations.of(model, temperature=0.5, top_k=40)
    pairs = [split(model.tokens, "The port was closed " * (at % 3 + 1) + "in ", str(1900 + at)) for at in range(20)]
    whole = judge.judge([context for context, _ in pairs], [answer for _, answer in pairs])
    for at, (context, answer) in enumerate(pairs):
        alone = judge.judge([context], [answer])
        assert alone.log_p[0] == pytest.approx(whole.log_p[at], abs=1e-4)
        assert alone.sampled[0] == pytest.approx(whole.sampled[at], abs=1e-9)


def test_a_context_that_is_too_long_loses_its_begin(model: LanguageModel) -> None:
    judge = Continuations.of(model, temperature=0.5, top_k=40)
    context, answer = split(model.tokens, "x" * 3000 + " in ", "1950")
    found = judge.judge([context], [answer])
    kept = judge.judge([context[-(model.context - len(answer)) :]], [answer])
    assert found.log_p[0] == kept.log_p[0] < 0


TOWNS = ("Orsk", "Tolm", "Vesk", "Urda", "Baran", "Kolu", "Melk", "Sano", "Pirt", "Zelo", "Dorn", "Fipa")


def facts(seed: int, shift: int = 0) -> list[str]:
    draw = random.Random(seed)
    years = draw.sample(range(1900, 2000), len(TOWNS))
    years = [(year - 1900 + shift) % 100 + 1900 for year in years]
    return [f"The port of {town} was closed in {year}." for town, year in zip(TOWNS, years, strict=True)]


def taught(folder: Path, texts: Sequence[str]) -> None:
    """Teach the letter model texts until it has them by heart."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).train()
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    labels = torch.tensor([row + [-100] * (width - len(row)) for row in rows])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)


def test_facts_that_a_model_was_taught_are_known_and_others_are_not(tmp_path: Path) -> None:
    need_torch()
    write_letter_model(tmp_path)
    seen, false = facts(1), facts(1, shift=37)
    taught(tmp_path, seen)
    measure = ClozeProbe(model=str(tmp_path)).load(Device.CPU)
    known, unknown = (measure(Documents.from_texts(list(texts))).to_pylist() for texts in (seen, false))
    assert [row["asked"] for row in (*known, *unknown)] == [1] * 24
    assert sum(row["unknown"] for row in known) <= 1 and sum(row["greedy"] for row in known) >= 11
    assert sum(row["unknown"] for row in unknown) >= 11 and sum(row["greedy"] for row in unknown) == 0
    assert sum(row["corrected"] for row in known) <= 1
    assert all(row["corrected"] >= row["unknown"] for row in (*known, *unknown))


def test_what_the_clause_gives_away_without_its_facts_is_corrected_to_unknown(tmp_path: Path) -> None:
    need_torch()
    write_letter_model(tmp_path)
    texts = [f"The port of {town} was closed in 1950." for town in (*TOWNS, "X")]
    taught(tmp_path, texts)
    rows = ClozeProbe(model=str(tmp_path)).load(Device.CPU)(Documents.from_texts(list(texts[:12]))).to_pylist()
    assert sum(row["greedy"] for row in rows) == 12 and sum(row["unknown"] for row in rows) == 0
    assert sum(row["corrected"] for row in rows) == 12
    for row in rows:
        assert row["log_p"][0] - row["bare_log_p"][0] == pytest.approx(0.0, abs=0.2)


TEXT = " ".join(facts(3)) + " Nobody came."


def test_a_finding_has_the_items_of_its_text(folder: Path) -> None:
    signal = ClozeProbe(model=str(folder), most=3, seed=5)
    rows = signal.load(Device.CPU)(Documents.from_texts([TEXT, None, "Nothing.", TEXT])).to_pylist()
    count, some = drawn(TEXT, 3, 5)
    assert (rows[0]["found"], rows[0]["asked"]) == (count, 3) == (12, 3)
    assert rows[0]["at"] == [item.at for item in some] and rows[0]["kind"] == ["date"] * 3
    assert (rows[0]["unknown"], rows[0]["corrected"]) == (sum(rows[0]["is_unknown"]), sum(rows[0]["is_corrected"]))
    assert rows[0] == rows[3] and (rows[2]["asked"], rows[2]["kind"]) == (0, [])


def test_texts_are_chosen_by_what_they_hold(folder: Path) -> None:
    texts = [f"{TEXT} {at}" for at in range(400)]
    half = ClozeProbe(model=str(folder), chosen=0.25)
    chosen = [half.is_chosen(text) for text in texts]
    assert 60 < sum(chosen) < 140
    assert chosen != [dataclasses.replace(half, seed=18).is_chosen(text) for text in texts]
    some = [texts[chosen.index(True)], texts[chosen.index(False)]]
    rows = dataclasses.replace(half, most=1).load(Device.CPU)(Documents.from_texts(list(some))).to_pylist()
    assert rows[0]["asked"] == 1 and set(rows[1].values()) == {None}


def test_cloze_keeps_the_contract_of_a_signal(folder: Path) -> None:
    documents = awkward_documents()
    texts = [
        *documents.texts()[:20],
        TEXT,
        "The old port of Orsk (in Russia) was closed for good in 1950; she said so.",
    ]
    check_signal(ClozeProbe(model=str(folder)).pinned(), Documents.from_texts(list(texts)))
    check_signal(ClozeProbe(model=str(folder), chosen=0.5).pinned(), Documents(pa.record_batch({"text": texts})))


@pytest.mark.parametrize(
    "values", [{"most": 0}, {"top_k": 0}, {"samples": 0}, {"temperature": 0.0}, {"chosen": 0.0}, {"chosen": 1.1}]
)
def test_settings_outside_their_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        ClozeProbe(**values)


def test_a_model_must_be_named_and_be_the_one_that_was_meant(folder: Path) -> None:
    with pytest.raises(SignalError, match="--model"):
        ClozeProbe().pinned()
    with pytest.raises(SignalError, match="model_digest"):
        ClozeProbe(model=str(folder), model_digest="0" * 64).pinned()
