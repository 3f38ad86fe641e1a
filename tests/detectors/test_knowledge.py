"""The probe against a plain computation: one prompt at a time, no cache, no batches, whole logits."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.exemplars import Fact, Pool, prompt
from detectors.knowledge import Knowledge, Question, questions_of, unlikeness
from detectors.probing import spellings
from detectors.protocols import Device
from tests.detectors.tiny_models import need_torch

LANDS = ("ruri", "tova", "melk", "sano", "pirt", "kolu", "brena", "vusk", "hami", "zelo", "dorn", "fipa")


def write_letter_model(folder: Path) -> None:
    """A random Llama of two layers that reads bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=len(alphabet),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=64,
        max_position_embeddings=512,
        initializer_range=0.3,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    need_torch()
    folder = tmp_path_factory.mktemp("model")
    write_letter_model(folder)
    facts = [Fact("capital", f"capital of {land}?", f"t{land[:2]}") for land in LANDS]
    (folder / "pool.jsonl").write_bytes(Pool.of(facts).to_bytes())
    return Knowledge(model=str(folder), pool=str(folder / "pool.jsonl"), sets=3, shots=2, others=4).pinned()


def rows(*questions: tuple[str | None, list[str] | None], relation: str | None = "capital") -> Documents:
    columns = {
        "text": pa.array([question for question, _ in questions], pa.large_string()).cast(pa.large_binary()),
        "column:question": pa.array([question for question, _ in questions], pa.string()),
        "column:answers": pa.array([answers for _, answers in questions], pa.list_(pa.string())),
        "column:relation": pa.array([relation] * len(questions), pa.string()),
    }
    return Documents(pa.record_batch(columns))


ASKED = rows(
    ("capital of ruri?", ["tru"]),
    (None, ["x"]),
    ("capital of nowhere at all?", ["Tno", "the other one"]),
    ("what?", []),
    ("capital of tova?", ["tto"]),
)


def plainly(signal: Knowledge, question: str, answers: list[str]) -> dict[str, Any]:
    """What the probe should find, by feeding whole prompts to the model."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(signal.model)
    model = AutoModelForCausalLM.from_pretrained(signal.model).eval()
    pool = Pool.from_bytes(Path(signal.pool).read_bytes(), "")
    family = pool.family("capital", question, signal.seed)
    stop = tokenizer.encode("\n", add_special_tokens=False)[-1]
    greedy, sampled, log_p = [], [], []
    for facts in pool.sets("capital", family, sets=signal.sets, shots=signal.shots, seed=signal.seed):
        context = tokenizer.encode(prompt(facts, question), add_special_tokens=False)
        right, share, logs = False, 0.0, []
        for answer in spellings(answers):
            said = [*tokenizer.encode(f" {answer}", add_special_tokens=False), stop]
            with torch.inference_mode():
                logits = model(torch.tensor([context + said])).logits[0, len(context) - 1 : -1].double()
            right |= logits.argmax(1).tolist() == said
            logs.append(float(torch.log_softmax(logits, 1)[range(len(said)), said].sum()))
            top = logits.topk(signal.top_k, 1)
            weights = torch.softmax(top.values / signal.temperature, 1)
            share += float((weights * (top.indices == torch.tensor(said)[:, None])).sum(1).prod())
        greedy.append(right)
        sampled.append(min(1.0, share))
        log_p.append(max(logs))
    return {
        "p_greedy": np.mean(greedy),
        "p_sampled": np.mean(sampled),
        "p_any": 1 - np.prod([(1 - p) ** 16 for p in sampled]),
        "log_p": log_p[0],
    }


def test_numbers_are_those_of_whole_prompts(signal: Knowledge) -> None:
    found = signal.load(Device.CPU)(ASKED).to_pylist()
    for row in (0, 2, 4):
        question = ASKED.batch["column:question"][row].as_py()
        expected = plainly(signal, question, ASKED.batch["column:answers"][row].as_py())
        for name, value in expected.items():
            assert found[row][name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
        assert found[row]["category"] in ("HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown")


def test_rows_without_question_or_answer_are_null(signal: Knowledge) -> None:
    found = signal.load(Device.CPU)(ASKED).to_pylist()
    for row in (1, 3):
        assert set(found[row].values()) == {None}


def test_a_row_has_the_same_numbers_in_any_company(signal: Knowledge) -> None:
    measure = signal.load(Device.CPU)
    whole = measure(ASKED).to_pylist()
    for start, size in ((0, 1), (2, 3), (4, 1)):
        for one, other in zip(measure(ASKED.slice(start, size)).to_pylist(), whole[start : start + size], strict=True):
            for name, value in one.items():
                same = (
                    value == other[name]
                    if not isinstance(value, float)
                    else value == pytest.approx(other[name], abs=2e-6)
                )
                assert same, name


def test_the_own_answer_is_what_greedy_decoding_gives(signal: Knowledge) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(signal.model)
    model = AutoModelForCausalLM.from_pretrained(signal.model).eval()
    pool = Pool.from_bytes(Path(signal.pool).read_bytes(), "")
    question = "capital of ruri?"
    facts = pool.sets("capital", pool.family("capital", question, 17), sets=3, shots=2, seed=17)[0]
    ids = tokenizer.encode(prompt(facts, question), add_special_tokens=False)
    stop = tokenizer.encode("\n", add_special_tokens=False)[-1]
    given: list[int] = []
    while len(given) < 24:
        with torch.inference_mode():
            token = int(model(torch.tensor([ids + given])).logits[0, -1].argmax())
        if token == stop:
            break
        given.append(token)
    assert signal.load(Device.CPU)(ASKED)["own_answer"][0].as_py() == tokenizer.decode(given).strip()


def test_a_row_that_does_not_fit_into_the_context_is_null(signal: Knowledge) -> None:
    found = signal.load(Device.CPU)(rows(("capital of ruri?", ["t" * 600]), ("capital of tova?", ["tto"]))).to_pylist()
    assert set(found[0].values()) == {None} and None not in (found[1]["category"], found[1]["log_p"])


def test_the_own_answer_is_compared_with_every_accepted_one() -> None:
    asked = [Question("Who built the tower?", answers, "") for answers in (("Eiffel",), ("nobody", "Gustave Eiffel"))]
    assert unlikeness(["It was Eiffel.", "gustave eiffel"], asked).tolist() == [0.0, 0.0]
    assert unlikeness(["Rome", "Rome"], [asked[0], None]).tolist() == [1.0, 1.0]


def test_an_answer_without_a_word_contradicts_nothing() -> None:
    asked = [Question("Who built the tower?", ("Eiffel",), "")] * 2
    assert np.isnan(unlikeness(["", "..."], asked)).all()
    assert unlikeness(["+"], [Question("Which sign adds?", ("+",), "")]).tolist() == [0.0]


def test_an_answer_that_other_questions_make_as_probable_is_corrected_to_unknown(signal: Knowledge) -> None:
    found = signal.load(Device.CPU)(ASKED).to_pylist()
    for row in (0, 2, 4):
        assert (found[row]["others_log_p"] is None) == (found[row]["category"] == "Unknown")
        beaten = (found[row]["others_log_p"] or -np.inf) >= found[row]["log_p"]
        assert found[row]["corrected"] == ("Unknown" if beaten else found[row]["category"])


def test_files_are_named_by_what_they_hold(signal: Knowledge, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.jsonl"
    moved.write_bytes(Path(signal.pool).read_bytes())
    assert dataclasses.replace(signal, pool=str(moved)).pinned().pool_digest == signal.pool_digest
    moved.write_bytes(Pool.of([Fact("a", f"q{n}", "b") for n in range(9)]).to_bytes())
    with pytest.raises(SignalError, match="pool_digest"):
        dataclasses.replace(signal, pool=str(moved)).pinned()


def test_a_probe_without_model_or_pool_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(SignalError, match="--model"):
        Knowledge().pinned()
    with pytest.raises(SignalError, match="foxing probe"):
        Knowledge(model=str(tmp_path))._pool()


@pytest.mark.parametrize(
    "values",
    [
        {"sets": 0},
        {"shots": 0},
        {"top_k": 0},
        {"others": -1},
        {"temperature": 0.0},
        {"estimator": "guessed"},
        {"generate": "a:b"},
        {"generate": "a:b", "estimator": "sampled", "model": "m"},
    ],
)
def test_settings_outside_their_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Knowledge(**values)


def test_a_chat_is_read_by_its_text_and_response() -> None:
    batch = pa.record_batch(
        {
            "text": pa.array([b"Who?\n\nNobody.", b"a\n\nb\n\nc", None], pa.large_binary()),
            "response": pa.array([b"Nobody.", b"b", None], pa.large_binary()),
        }
    )
    found = questions_of(Documents(batch), "", "", "")
    assert found[0] is not None and (found[0].text, found[0].answers) == ("Who?", ("Nobody.",))
    assert found[1:] == [None, None]


def test_an_answer_may_begin_with_a_capital() -> None:
    assert spellings(["poet", "Writer"]) == ("poet", "Poet", "Writer")


def test_the_probe_keeps_the_contract_of_a_signal(signal: Knowledge) -> None:
    check_signal(signal, ASKED)
