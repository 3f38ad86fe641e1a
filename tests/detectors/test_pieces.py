"""How long documents are cut, and what the measures of their pieces come to."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import pieces
from detectors.characters import Characters
from detectors.diversity import Diversity
from detectors.document import Document
from detectors.documents import Documents
from detectors.pieces import blocks, cuts, is_piecewise
from detectors.protocols import Device, Signal
from detectors.words import segment


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LONG_BYTES", 64)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 64)
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 200)
    monkeypatch.setattr(pieces, "_LOOK_BACK", 16)


texts = st.lists(
    st.one_of(st.text(alphabet="ab \n", max_size=300), st.text(alphabet="é中a👍 ", max_size=120)).map(str.encode),
    max_size=12,
)


@pytest.mark.usefixtures("small_pieces")
class TestCuts:
    @given(text=st.binary(max_size=700))
    def test_pieces_cover_the_document_and_are_never_larger(self, text: bytes) -> None:
        edges = cuts(memoryview(text))
        assert edges[0] == 0 and edges[-1] == len(text)
        assert all(0 < b - a <= 64 for a, b in pairwise(edges)) or not text

    @given(text=st.text(alphabet="é中a👍", min_size=70, max_size=400))
    def test_no_character_is_split(self, text: str) -> None:
        raw = text.encode()
        edges = cuts(memoryview(raw))
        assert "".join(raw[a:b].decode() for a, b in pairwise(edges)) == text

    def test_cuts_fall_after_white_space(self) -> None:
        raw = b"one two three four five " * 40
        assert all(raw[edge - 1 : edge] == b" " for edge in cuts(memoryview(raw))[1:])

    @given(found=texts)
    def test_words_are_those_of_the_whole_where_there_is_white_space(self, found: list[bytes]) -> None:
        for text in found:
            raw = b" ".join(text[i : i + 9] for i in range(0, len(text), 9)) if b" " not in text else text
            raw = raw.replace(b"\xc3", b"a")
            whole = segment(np.frombuffer(raw, np.uint8), np.array([0, len(raw)]))
            document = Documents.from_texts([raw])
            parts = [piece.words.hashes for _, piece in pieces.pieces(document, pieces.cuts_of(document))]
            if all(raw[edge - 1 : edge] in (b" ", b"\n") for edge in cuts(memoryview(raw))[1:-1]):
                assert np.concatenate(parts).tolist() == whole.hashes.tolist()

    @given(found=texts)
    def test_blocks_hold_every_row_once_in_order_and_long_ones_alone(self, found: list[bytes]) -> None:
        documents = Documents.from_texts([*found])
        seen: list[bytes] = []
        for block in blocks(documents):
            rows = block.documents.batch.column("text").to_pylist()
            assert block.is_long == (len(rows) == 1 and len(rows[0]) > 64)
            assert sum(map(len, rows)) <= 200 or len(rows) == 1
            seen += rows
        assert seen == found


@pytest.mark.parametrize("signal", [Document(), Diversity(min_words=0), Characters()], ids=lambda signal: signal.name)
def test_pieces_of_our_signals_make_one_row_of_their_schema(signal: Signal) -> None:
    assert is_piecewise(signal)
    measured = signal.load(Device.CPU)(Documents.from_texts(["one two two three", "four five. Six, six", ""]))
    row = signal.combine(measured, [0, 20, 40])  # type: ignore[attr-defined]
    assert row.schema.equals(signal.schema) and row.num_rows == 1


def test_sizes_of_pieces_add_up() -> None:
    measured = Document().load(Device.CPU)(Documents.from_texts(["one two ", "three é", b"\xff"]))
    row = Document().combine(measured, [0, 8, 16]).to_pylist()[0]
    assert row == {"bytes": 17, "characters": 16, "words": 4, "utf8_valid": False}


def test_diversity_of_pieces_is_their_mean_weighted_by_words() -> None:
    signal = Diversity(min_words=0)
    measured = signal.load(Device.CPU)(Documents.from_texts(["a a a a", "b c", ""]))
    row = signal.combine(measured, [0, 7, 10]).to_pylist()[0]
    assert row["words"] == 6
    assert row["ttr"] == pytest.approx((4 * 0.25 + 2 * 1.0) / 6)
    assert row["mattr"] is None


def test_a_signal_of_raw_columns_or_without_combine_gets_long_documents_whole() -> None:
    from detectors.column import Column

    assert not is_piecewise(Column("source"))


def test_views_of_a_piece_are_those_of_its_bytes() -> None:
    raw = b"word " * 300_000
    batch = pa.record_batch({"text": pa.array([b"skipped", raw], pa.large_binary())})
    long = Documents(batch).slice(1, 1)
    found = list(pieces.pieces(long, pieces.cuts_of(long)))
    assert [start for starts, _ in found for start in starts] == cuts(memoryview(raw))[:-1]
    assert sum(len(batch.words) for _, batch in found) == 300_000
    assert all(len(starts) == len(batch) for starts, batch in found)
    assert b"".join(text for _, batch in found for text in batch.batch.column("text").to_pylist()) == raw


def test_a_document_is_cut_only_when_it_is_long() -> None:
    assert cuts(memoryview(b"x " * (pieces.LONG_BYTES // 2))) == [0, pieces.LONG_BYTES]
    edges = cuts(memoryview(b"x " * (pieces.LONG_BYTES // 2 + 1)))
    assert max(b - a for a, b in pairwise(edges)) <= pieces.PIECE_BYTES
