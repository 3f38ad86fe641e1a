"""Blocks hold the rows' tokens in the rows' order, and know the place in the stream where each ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.errors import ConfigError
from tests.detectors.tiny_models import need_torch

need_torch()

from curricula.encoding import Encoded, trained_tokenizer  # noqa: E402
from curricula.packing import IGNORED, Packed, Place, Row, cut, pack  # noqa: E402
from curricula.training_rows import open_rows  # noqa: E402
from tests.curricula.training_data import write_questions, write_texts  # noqa: E402

LENGTHS = st.lists(st.integers(1, 17), min_size=1, max_size=25)


class Stream:
    """Rows of given lengths, whose tokens are all different."""

    def __init__(self, lengths: list[int]) -> None:
        edges = np.cumsum([0, *lengths])
        self.rows = [np.arange(a, b) for a, b in itertools.pairwise(edges)]

    def __call__(self, epoch: int, first: int) -> Iterator[Row]:
        for number in range(first, len(self.rows)):
            ids = self.rows[number]
            yield Row(number, Encoded(ids, np.ones(len(ids), np.bool_)))


def held(*blocks: Packed) -> list[int]:
    return [token for block in blocks for token in block.ids[block.document >= 0].tolist()]


@given(LENGTHS, st.integers(2, 12))
@settings(deadline=None)
def test_split_rows_keep_every_token_in_order_and_waste_no_room(lengths: list[int], size: int) -> None:
    blocks = list(pack(Stream(lengths), size, splits=True, pad=-7, epochs=1))
    assert held(*blocks) == list(range(sum(lengths)))
    assert all(block.tokens == size for block in blocks[:-1])


@given(LENGTHS, st.integers(2, 12))
@settings(deadline=None)
def test_whole_rows_stay_in_order_and_lose_only_what_is_longer_than_a_block(lengths: list[int], size: int) -> None:
    stream = Stream(lengths)
    blocks = list(pack(stream, size, splits=False, pad=-7, epochs=1))
    assert held(*blocks) == [token for row in stream.rows for token in row[:size].tolist()]


@given(LENGTHS, st.integers(2, 12), st.booleans())
@settings(deadline=None)
def test_from_the_place_after_any_block_the_stream_goes_on_the_same(
    lengths: list[int], size: int, splits: bool
) -> None:
    stream = Stream(lengths)
    blocks = list(pack(stream, size, splits=splits, pad=-7, epochs=3))
    for at, block in enumerate(blocks):
        rest = list(pack(stream, size, splits=splits, pad=-7, start=block.after, epochs=3))
        assert [held(one) for one in rest] == [held(one) for one in blocks[at + 1 :]]
        assert [one.after for one in rest] == [one.after for one in blocks[at + 1 :]]


@given(LENGTHS, st.integers(2, 12), st.booleans())
@settings(deadline=None)
def test_a_target_is_the_next_token_of_the_same_document(lengths: list[int], size: int, splits: bool) -> None:
    for block in pack(Stream(lengths), size, splits=splits, pad=-7, epochs=1):
        for at in np.flatnonzero(block.targets != IGNORED):
            assert block.targets[at] == block.ids[at] + 1
            assert block.document[at] >= 0
        for number in range(block.document.max() + 1):
            assert block.position[block.document == number].tolist() == list(range((block.document == number).sum()))


@given(LENGTHS, st.integers(2, 12), st.integers(1, 12))
@settings(deadline=None)
def test_a_cut_block_has_so_many_tokens_and_guesses_none_beyond(lengths: list[int], size: int, tokens: int) -> None:
    block = next(pack(Stream(lengths), size, splits=True, pad=-7, epochs=1))
    short = cut(block, min(tokens, block.tokens))
    assert short.tokens == min(tokens, block.tokens)
    assert set(short.targets[short.targets != IGNORED]) <= set(held(short))


def test_rows_that_hold_nothing_to_learn_end_in_an_error_and_not_in_an_endless_loop() -> None:
    with pytest.raises(ConfigError, match="anything to learn"):
        list(pack(lambda epoch, first: iter([Row(0, None)]), 8, splits=True, pad=0))


def test_rows_are_read_in_file_order_from_any_row_on(tmp_path: Path) -> None:
    encoder = trained_tokenizer([], 0)
    write_texts(tmp_path / "b.parquet", 70, seed=1)
    write_texts(tmp_path / "a.parquet", 45, seed=2)
    rows = open_rows([str(tmp_path)], encoder)
    whole = [row.encoded.ids.tolist() for row in rows.read(0, 0) if row.encoded is not None]
    assert rows.rows == len(whole) == 115
    assert whole == [[*encoder.ids(text).tolist(), encoder.end] for text in rows.texts(10**9)]
    for first in (1, 29, 30, 44, 45, 46, 114, 115):
        rest = list(rows.read(0, first))
        assert [row.number for row in rest] == list(range(first, 115))
        assert [row.encoded.ids.tolist() for row in rest if row.encoded is not None] == whole[first:]


def test_shuffled_passes_differ_from_each_other_and_hold_the_same_rows(tmp_path: Path) -> None:
    write_texts(tmp_path / "a.parquet", 50)
    rows = open_rows([str(tmp_path)], trained_tokenizer([], 0), shuffle=3)
    passes = [[tuple(row.encoded.ids) for row in rows.read(epoch, 0) if row.encoded is not None] for epoch in (0, 1, 0)]
    assert passes[0] == passes[2] != passes[1]
    assert sorted(passes[0]) == sorted(passes[1])


def test_of_a_question_with_its_answer_the_answer_and_the_end_are_learnt(tmp_path: Path) -> None:
    encoder = trained_tokenizer([], 0)
    write_questions(tmp_path / "qa.parquet", 3)
    row = next(iter(open_rows([str(tmp_path)], encoder).read(0, 0))).encoded
    assert row is not None
    assert encoder.tokenizer.decode(row.ids[~row.learnt].tolist()) == "Q: the 0?\nA:"
    assert encoder.tokenizer.decode(row.ids[row.learnt].tolist(), skip_special_tokens=False) == " the<|end|>"


def test_of_a_chat_what_the_assistant_says_is_learnt(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    said = [
        ("system", "be brief"),
        ("user", "hello"),
        ("assistant", "hi there"),
        ("user", "bye"),
        ("assistant", "so long"),
    ]
    messages = [[{"role": role, "content": text} for role, text in said]]
    pq.write_table(pa.table({"messages": messages}), tmp_path / "chat.parquet")
    encoder = trained_tokenizer([], 0)
    row = next(iter(open_rows([str(tmp_path)], encoder).read(0, 0))).encoded
    assert row is not None
    assert encoder.tokenizer.decode(row.ids[row.learnt].tolist()) == "hi there\nso long\n"
    assert encoder.tokenizer.decode(row.ids.tolist()).startswith("system: be brief\nuser: hello\nassistant: hi there\n")


def test_a_place_orders_as_the_stream_does() -> None:
    assert Place(0, 5, 3) < Place(0, 6) < Place(1)
