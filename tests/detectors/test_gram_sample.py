"""The sample of n-grams: the same n-gram is in it everywhere or nowhere, and unions can be counted."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.errors import ConfigError
from detectors.gram_sample import GramSample
from detectors.protocols import Device

TEXTS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12).map(" ".join), min_size=1, max_size=6)


def samples(texts: list[str], signal: GramSample) -> tuple[list[list[int] | None], list[int | None]]:
    found = signal.load(Device.CPU)(Documents.from_texts(list(texts)))
    return found["sample"].to_pylist(), found["grams"].to_pylist()


def test_it_keeps_the_contract_of_a_signal() -> None:
    check_signal(GramSample())
    check_signal(GramSample(n=1, one_in=1))


@given(TEXTS, st.integers(1, 4))
def test_a_sample_of_all_holds_as_many_as_plain_python_counts(texts: list[str], n: int) -> None:
    found, grams = samples(texts, GramSample(n=n, one_in=1))
    for text, sample, count in zip(texts, found, grams, strict=True):
        words = text.split()
        own = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
        assert (count or 0) == len(own) and len(sample or []) == len(set(own))
        assert sample is None or sample == sorted(sample)


def test_what_stands_twice_is_drawn_twice() -> None:
    found = GramSample(n=2, one_in=1).load(Device.CPU)(Documents.from_texts(["a b a b a", "a"]))
    assert [found[name].to_pylist() for name in ("drawn", "grams")] == [[4, None], [4, None]]
    assert len(found["sample"][0]) == 2


@given(TEXTS)
def test_what_is_in_a_small_sample_is_in_the_large_one_and_depends_on_the_n_gram_alone(texts: list[str]) -> None:
    whole, _ = samples(texts, GramSample(n=2, one_in=1))
    some, _ = samples(texts, GramSample(n=2, one_in=4))
    members = {gram for sample in some for gram in sample or []}
    for large, small in zip(whole, some, strict=True):
        assert set(small or []) == set(large or []) & members


def test_the_union_estimates_the_different_n_grams_of_any_rows() -> None:
    rng = random.Random(2)
    texts = [" ".join(f"w{rng.randrange(60)}" for _ in range(300)) for _ in range(120)]
    found, _ = samples(texts, GramSample(n=2, one_in=8))
    for rows in (range(120), range(10, 70)):
        true = {pair for row in rows for pair in zip(texts[row].split(), texts[row].split()[1:], strict=False)}
        drawn = len({gram for row in rows for gram in found[row] or []})
        assert abs(drawn * 8 - len(true)) < 5 * 8 * np.sqrt(len(true) / 8)


def test_it_reads_the_answer() -> None:
    batch = pa.record_batch(
        {"text": ["a question\n\nan answer of five words"], "response": ["an answer of five words"]}
    )
    found = GramSample(one_in=1).load(Device.CPU)(Documents(batch))
    assert found["grams"].to_pylist() == [3]


@pytest.mark.parametrize("settings", [{"n": 0}, {"one_in": 12}, {"one_in": 0}])
def test_settings_outside_their_range_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        GramSample(**settings)
