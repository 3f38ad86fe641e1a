"""Continuations read as a tree against continuations read one by one."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.answering import Asker, Until
from detectors.branches import Rows, Tree, reads_trees, tree_agrees
from detectors.language_model import LanguageModel, load_language_model
from detectors.protocols import Device
from tests.detectors.test_knowledge import write_letter_model
from tests.detectors.tiny_models import need_torch

PROMPT = np.arange(20, 31, dtype=np.int64)
PATHS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    need_torch()
    folder = tmp_path_factory.mktemp("model")
    write_letter_model(folder)
    return load_language_model(str(folder), Device.CPU, precision="float32")


@pytest.fixture(autouse=True)
def no_gradients(model: LanguageModel) -> Iterator[None]:
    import torch

    with torch.inference_mode():
        yield


def ids(*paths: list[int]) -> list[Any]:
    return [np.array(path, np.int64) for path in paths]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=PATHS)
def test_a_tree_expects_what_each_continuation_alone_makes_expected(
    model: LanguageModel, paths: list[list[int]]
) -> None:
    prefix, read = Asker(model).read(PROMPT), ids(*paths)
    found = []
    for branches in (Tree(model, prefix), Rows(model, prefix)):
        places = [place for some in branches.read(read, [0] * len(read)) for place in some]
        found.append(branches.logits(places).numpy())
    np.testing.assert_allclose(*found, atol=2e-4)


def test_what_continuations_have_in_common_is_read_once(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    grow = Tree._grow
    monkeypatch.setattr(Tree, "_grow", lambda self, tokens, parents: (read.extend(tokens), grow(self, tokens, parents)))
    tree = Tree(model, Asker(model).read(PROMPT))
    tree.read(ids([1, 2, 3], [1, 2, 4], [1, 2, 3, 5]), [0] * 3)
    assert read == [1, 2, 3, 4, 5]
    tree.read(ids([1, 2, 4, 6]), [0])
    assert read == [1, 2, 3, 4, 5, 6]


def test_a_fork_grows_apart(model: LanguageModel) -> None:
    prefix = Asker(model).read(PROMPT)
    tree = Tree(model, prefix)
    (before,) = tree.read(ids([1, 2]), [1])
    fork = tree.fork()
    (other,) = fork.read(ids([1, 2, 3]), [2])
    (own,) = tree.read(ids([1, 2, 7]), [2])
    alone = Rows(model, prefix)
    for branches, places, path in ((tree, before, [1, 2]), (fork, other, [1, 2, 3]), (tree, own, [1, 2, 7])):
        (expected,) = alone.read(ids(path), [len(path) - 1])
        np.testing.assert_allclose(branches.logits(places).numpy(), alone.logits(expected).numpy(), atol=2e-4)


def test_a_prompt_is_not_changed_by_what_follows_it(model: LanguageModel) -> None:
    prefix = Asker(model).read(PROMPT)
    before = [layer.keys.clone() for layer in prefix.cache.layers]
    for branches in (Tree(model, prefix), Rows(model, prefix)):
        branches.read(ids([1, 2, 3], [4]), [0, 0])
    assert all((layer.keys == keys).all() for layer, keys in zip(prefix.cache.layers, before, strict=True))


def test_half_precision_and_short_windows_are_read_row_by_row(model: LanguageModel, tmp_path: Path) -> None:
    prefix = Asker(model).read(PROMPT)
    assert reads_trees(model, prefix, 40) and tree_agrees(model, prefix)
    write_letter_model(tmp_path)
    half = load_language_model(str(tmp_path), Device.CPU, precision="bfloat16")
    assert isinstance(Asker(half).follow(Asker(half).read(PROMPT), 40), Rows)
    half.model.float()
    half.model.config.sliding_window = 32
    assert not reads_trees(half, Asker(half).read(PROMPT), 40) and reads_trees(half, Asker(half).read(PROMPT), 20)


def test_where_a_model_looks_back_by_chunks_or_by_places_it_is_read_row_by_row(model: LanguageModel) -> None:
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    sizes = {"vocab_size": 97, "hidden_size": 16, "num_layers": 2, "num_heads": 2, "max_position_embeddings": 64}
    body = GPTNeoForCausalLM(GPTNeoConfig(**sizes, attention_types=[[["global", "local"], 1]], window_size=24)).eval()
    neo = dataclasses.replace(model, model=body, vocabulary=97, context=64)
    prefix, numbers = Asker(neo).read(PROMPT), np.random.default_rng(1)
    paths = [numbers.integers(0, 97, 10) for _ in range(12)]
    branches = Asker(neo).follow(prefix, 10)
    places = branches.read(paths, [9] * 12)
    for path, place in zip(paths, places, strict=True):
        whole = body(input_ids=torch_ids(PROMPT, path)).logits[0, -1].numpy()
        np.testing.assert_allclose(branches.logits(place)[0].numpy(), whole, atol=2e-4)
    chunked = dataclasses.replace(model, model=copy.deepcopy(model.model))
    chunked.model.config.attention_chunk_size = 32
    read = Asker(chunked).read(PROMPT)
    assert reads_trees(chunked, read, 20) and not reads_trees(chunked, read, 40)


def test_rows_reach_no_further_than_the_context(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    write_letter_model(tmp_path)
    body = GPT2LMHeadModel(GPT2Config(vocab_size=97, n_embd=16, n_layer=1, n_head=2, n_positions=17)).eval()
    learned = dataclasses.replace(
        load_language_model(str(tmp_path), Device.CPU, precision="float32"), model=body, vocabulary=97, context=17
    )
    path = np.arange(6, dtype=np.int64)
    rows = Rows(learned, Asker(learned).read(PROMPT))
    (places,) = rows.read([path], [5])
    whole = body(input_ids=torch_ids(PROMPT, path)).logits[0, -1].numpy()
    np.testing.assert_allclose(rows.logits(places)[0].numpy(), whole, atol=2e-4)


def torch_ids(*parts: Any) -> Any:
    import torch

    return torch.from_numpy(np.concatenate(parts))[None]


def test_a_model_whose_trees_differ_is_read_row_by_row(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    shifted = Tree.logits
    monkeypatch.setattr(Tree, "logits", lambda self, places: shifted(self, places) + 0.1)
    asker = Asker(model)
    assert isinstance(asker.follow(asker.read(PROMPT), 9), Rows)


def test_half_precision_gives_a_question_the_same_numbers_in_any_company(tmp_path: Path) -> None:
    write_letter_model(tmp_path)
    asker = Asker(load_language_model(str(tmp_path), Device.CPU, precision="bfloat16"))
    prefix = asker.read(PROMPT)
    questions, answers = ids([1, 2], [3, 4], [5, 6, 7]), ids([8, 9], [9, 8], [1, 2, 3])
    together = asker.teach(asker.follow(prefix, 9), questions, answers, until=[Until.END] * 3)
    for row in range(3):
        one = asker.teach(asker.follow(prefix, 9), questions[row : row + 1], answers[row : row + 1], until=[Until.END])
        assert (one.log_p[0], one.sampled[0]) == (together.log_p[row], together.sampled[row])


def test_answers_and_probabilities_are_the_same_from_trees_and_rows(model: LanguageModel) -> None:
    asker = Asker(model)
    prefix = asker.read(PROMPT)
    questions = ids([1, 2, 3], [1, 2, 4], [5])
    answers = ids([6, 7], [8], [9, 1, 2])
    taught, said = [], []
    for branches in (Tree(model, prefix), Rows(model, prefix)):
        taught.append(asker.teach(branches, questions, answers, until=[Until.END] * 3))
        said.append(asker.answer(branches, questions, stop=3, most=8))
    for name in ("log_p", "sampled", "greedy"):
        np.testing.assert_allclose(*(getattr(one, name) for one in taught), rtol=1e-4)
    for one, other in zip(*said, strict=True):
        assert one.ids.tolist() == other.ids.tolist() and one.ended == other.ended
        assert one.log_p == pytest.approx(other.log_p, rel=1e-4)


def test_an_answer_that_no_draw_begins_is_not_followed(model: LanguageModel) -> None:
    asker = dataclasses.replace(Asker(model), top_k=1)
    branches = asker.follow(asker.read(PROMPT), 9)
    (best,) = asker.answer(branches, ids([1, 2]), stop=-1, most=2)
    first = int(best.ids[0])
    answers = ids([first, 5], [first + 1, 5], [first + 1, 5])
    found = asker.teach(branches, ids(*[[1, 2]] * 3), answers, until=[Until.GREEDY, Until.DRAWN, Until.END])
    assert np.isfinite(found.log_p).tolist() == [True, False, True]
    assert found.sampled[1] == found.sampled[2] == 0 and not found.greedy[1:].any()


def test_draws_have_the_probabilities_that_are_taught_and_need_no_company(model: LanguageModel) -> None:
    asker = Asker(model, temperature=0.7, top_k=5)
    prefix, question, stop = asker.read(PROMPT), ids([1, 2])[0], 9
    numbers = np.random.default_rng(1).random((4000, 1))
    alone = asker.draw(asker.follow(prefix, 9), [question], [numbers], stop=stop)[0]
    among = asker.draw(asker.follow(prefix, 9), [ids([4])[0], question], [numbers[:5], numbers], stop=stop)[1]
    assert [None if one is None else one.tolist() for one in alone] == [None if one is None else [] for one in among]
    share = sum(one is not None for one in alone) / len(alone)
    (expected,) = asker.teach(asker.follow(prefix, 9), [question], ids([stop]), until=[Until.END]).sampled
    assert abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / 4000) + 1e-9
