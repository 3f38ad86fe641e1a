"""Every index against its plain-Python definition and, where it has them, against lexicalrichness."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detectors.conformance import check_signal
from detectors.diversity import Diversity
from detectors.documents import Documents
from detectors.errors import ConfigError
from detectors.lexical import lexical_indices, sentence_lengths
from detectors.protocols import Device
from detectors.repetition import line_repetition, ngram_repetition
from tests.detectors import reference
from tests.detectors.texts import any_bytes, vocabulary

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lexicalrichness import LexicalRichness

if TYPE_CHECKING:
    import pyarrow as pa

PROSE = (
    "The pages had gone brown along the edges, and the damp had crept from leaf to leaf for forty years. "
    "She turned them slowly. Each leaf stuck to the next leaf, and each left a ghost of itself behind!\n"
    "Nobody reads the ledgers now, nobody counts the barrels of salt, the bolts of cloth, the nails by the pound. "
    "What did they weigh? Who signed for them? The damp does not say; the damp keeps its own accounts.\n"
)


def tokens(numbers: Sequence[int]) -> list[str]:
    """Words of different lengths, one for each number."""
    return [f"w{'x' * (n % 5)}{n}" for n in numbers]


def close(found: float, expected: float) -> bool:
    return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)


def measure(text: str | bytes | None, signal: Diversity | None = None) -> dict[str, float | None]:
    batch: pa.RecordBatch = (signal or Diversity()).load(Device.CPU)(Documents.from_texts([text]))
    return {name: batch[name][0].as_py() for name in batch.schema.names}


@given(st.lists(vocabulary, min_size=1, max_size=4), st.integers(1, 60), st.sampled_from([0.5, 0.66, 0.72, 0.9]))
def test_lexical_indices_agree_with_their_definitions(documents: list[list[int]], width: int, threshold: float) -> None:
    words = Documents.from_texts([" ".join(tokens(d)) for d in documents]).words
    found = lexical_indices(words, mattr_window=width, mtld_threshold=threshold, hdd_draws=width)
    for i, document in enumerate(documents):
        assert close(found.ttr[i], reference.ttr(document))
        assert close(found.root_ttr[i], reference.ttr(document) * math.sqrt(len(document)))
        assert close(found.mtld[i], reference.mtld(document, threshold))
        assert close(found.yule_k[i], reference.yule_k(document))
        assert close(found.hapax_share[i], reference.hapax_share(document))
        slope = reference.zipf_slope(document)
        assert np.isnan(found.zipf_slope[i]) if slope is None else close(found.zipf_slope[i], slope)
        if len(document) >= width:
            assert close(found.mattr[i], reference.mattr(document, width))
            assert close(found.hdd[i], reference.hdd(document, width))
        else:
            assert np.isnan([found.mattr[i], found.hdd[i]]).all()


def check_lexicalrichness(words: list[str], width: int, threshold: float) -> None:
    theirs = LexicalRichness(words, preprocessor=None, tokenizer=None)
    ours = lexical_indices(
        Documents.from_texts([" ".join(words)]).words, mattr_window=width, mtld_threshold=threshold, hdd_draws=width
    )
    assert close(ours.ttr[0], theirs.ttr)
    assert close(ours.root_ttr[0], theirs.rttr)
    assert close(ours.mtld[0], theirs.mtld(threshold=threshold))
    assert close(ours.yule_k[0], theirs.yulek)
    if len(words) >= width:
        assert close(ours.mattr[0], theirs.mattr(window_size=width))
        assert close(ours.hdd[0], theirs.hdd(draws=width))


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=300), st.sampled_from([5, 42, 50]), st.sampled_from([0.6, 0.72])
)
@example([0], 5, 0.72)
@example([0] * 60, 50, 0.72)
@example(list(range(41)), 42, 0.72)
def test_lexical_indices_agree_with_lexicalrichness(numbers: list[int], width: int, threshold: float) -> None:
    check_lexicalrichness(tokens(numbers), width, threshold)


def test_lexical_indices_agree_with_lexicalrichness_on_long_zipfian_text() -> None:
    numbers = np.random.default_rng(17).zipf(1.3, 20_000) % 5000
    check_lexicalrichness(tokens(numbers.tolist()), 50, 0.72)


@given(st.lists(vocabulary, min_size=1, max_size=4))
@example([[1, 1, 1, 1, 1, 1]])
@example([[1, 2, 1, 2, 3, 4, 3, 4]])
@example([[1, 2], [3], [1, 2, 3] * 20])
def test_ngram_repetition_agrees_with_its_definition(documents: list[list[int]]) -> None:
    found = ngram_repetition(Documents.from_texts([" ".join(tokens(d)) for d in documents]).words)
    for i, document in enumerate(documents):
        lengths = [len(t) for t in tokens(document)]
        for n in range(1, 11):
            if len(document) < n:
                values = [a[n - least][i] for a, least, most in zip(found, (1, 2, 2), (3, 4, 10), strict=True)
                          if least <= n <= most]  # fmt: skip
                assert np.isnan(values).all()
                continue
            if n <= 3:
                assert close(found.distinct[n - 1][i], reference.distinct(document, n))
            if 2 <= n <= 4:
                assert close(found.top[n - 2][i], reference.top_share(document, lengths, n))
            if n >= 2:
                assert close(found.duplicate[n - 2][i], reference.duplicate_share(document, lengths, n))


@given(st.lists(st.one_of(any_bytes, st.lists(st.sampled_from([b"a", b" a\r", b"", b"bc ", b"\xff"])).map(b"\n".join))))
@example([b"\n".join(b"%d" % (i % 700) for i in range(1000)), b"x"])
def test_line_repetition_agrees_with_its_definition(texts: list[bytes]) -> None:
    documents = Documents.from_texts([*texts])
    found = line_repetition(documents.data, documents.offsets)
    for i, text in enumerate(texts):
        expected = reference.line_repetition(text)
        if expected is None:
            assert np.isnan([found.lines[i], found.bytes[i]]).all()
        else:
            assert close(found.lines[i], expected[0])
            assert close(found.bytes[i], expected[1])


@given(st.lists(any_bytes, max_size=4))
@example([PROSE.encode()])
def test_sentence_lengths_agree_with_their_definition(texts: list[bytes]) -> None:
    found = sentence_lengths(Documents.from_texts([*texts]).words)
    for i, text in enumerate(texts):
        lengths = reference.sentence_lengths(reference.segment(text))
        assert np.isnan(found.mean[i]) if not lengths else close(found.mean[i], float(np.mean(lengths)))
        assert np.isnan(found.std[i]) if len(lengths) < 2 else close(found.std[i], float(np.std(lengths)))


def test_fields_hold_what_they_say() -> None:
    found = measure(PROSE)
    words = reference.segment(PROSE.encode())
    folded, lengths = [w.folded for w in words], [len(w.text) for w in words]
    sentences = reference.sentence_lengths(words)
    expected = {
        "words": len(words),
        "ttr": reference.ttr(folded),
        "root_ttr": reference.ttr(folded) * math.sqrt(len(folded)),
        "mattr": reference.mattr(folded, 50),
        "mtld": reference.mtld(folded, 0.72),
        "hdd": reference.hdd(folded, 42),
        "yule_k": reference.yule_k(folded),
        "hapax_share": reference.hapax_share(folded),
        "zipf_slope": reference.zipf_slope(folded),
        **{f"distinct_{n}": reference.distinct(folded, n) for n in (1, 2, 3)},
        **{f"top_{n}gram": reference.top_share(folded, lengths, n) for n in (2, 3, 4)},
        **{f"dup_{n}gram": reference.duplicate_share(folded, lengths, n) for n in range(2, 11)},
        "dup_line_share": 0.0,
        "dup_line_bytes_share": 0.0,
        "sentence_length_mean": np.mean(sentences),
        "sentence_length_std": np.std(sentences),
        "compression_ratio": None,
    }
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == (value if value is None else pytest.approx(value, rel=1e-6)), name


def test_short_documents_get_a_word_count_and_nothing_else() -> None:
    for text, count in ((" ".join(["word"] * 49), 49), ("", 0), (None, 0)):
        found = measure(text, Diversity(compression=True))
        assert found.pop("words") == count
        assert set(found.values()) == {None}


def test_fields_are_null_only_where_undefined_when_every_length_is_measured() -> None:
    everything = Diversity(min_words=0, compression=True)
    undefined = {name for name, value in measure("three words here", everything).items() if value is None}
    assert undefined == {
        *("mattr", "hdd", "zipf_slope", "sentence_length_std", "top_4gram"),
        *(f"dup_{n}gram" for n in range(4, 11)),
    }
    assert {name for name, value in measure("", everything).items() if value is not None} == {"words"}


def test_repetitive_text_scores_as_repetitive() -> None:
    varied, repetitive = measure(PROSE), measure(PROSE * 10)
    assert repetitive["dup_10gram"] == 1.0
    assert repetitive["dup_line_share"] == pytest.approx(0.9)
    assert repetitive["yule_k"] == pytest.approx(varied["yule_k"], rel=0.5)
    for lower in ("ttr", "distinct_2", "hapax_share"):
        assert repetitive[lower] < varied[lower]  # type: ignore[operator]


def test_compression_ratio_is_bytes_per_compressed_byte() -> None:
    raw = (PROSE * 3).encode()
    assert measure(raw, Diversity(compression=True))["compression_ratio"] == pytest.approx(
        len(raw) / len(zlib.compress(raw, 6))
    )


def test_words_between_null_rows_keep_their_row() -> None:
    found = Diversity().load(Device.CPU)(Documents.from_texts([None, PROSE, None, "short", PROSE]))
    assert found["mtld"].is_valid().to_pylist() == [False, True, False, False, True]
    assert found["mtld"][1] == found["mtld"][4]


@pytest.mark.parametrize(
    "settings",
    [{"mattr_window": 0}, {"hdd_draws": 0}, {"min_words": -1}, {"mtld_threshold": 0.0}, {"mtld_threshold": 1.0}],
)
def test_settings_outside_their_range_are_refused(settings: dict[str, float]) -> None:
    (name,) = settings
    with pytest.raises(ConfigError, match=name):
        Diversity(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("signal", [Diversity(), Diversity(5, 0.5, 3, 0, True)])
def test_diversity_keeps_the_contract_of_signals(signal: Diversity) -> None:
    check_signal(signal)


def test_the_longest_of_equally_frequent_ngrams_is_judged_where_it_first_occurs() -> None:
    text = "of of x to it y of of z to\u00ad it w"
    found = ngram_repetition(Documents.from_texts([text]).words)
    words = reference.segment(text.encode())
    assert close(found.top[0, 0], reference.top_share([w.folded for w in words], [len(w.text) for w in words], 2))
