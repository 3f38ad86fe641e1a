"""Real and synthetic rows at a ratio."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricula.composing import resolve
from curricula.mixing import Accumulate, Replace
from curricula.protocols import Curriculum, Resampling
from detectors.errors import ConfigError
from tests.curricula.decided import decided

SOURCES = ["web"] * 60 + ["gpt"] * 50 + ["books"] * 40 + ["llama"] * 30
REAL = ("web", "book*")


def kept(curriculum: Accumulate | Replace, frame: pl.LazyFrame) -> list[int]:
    return curriculum.rank(frame).collect().filter(pl.col("copies") == 1)["index"].to_list()


def count(curriculum: Accumulate | Replace, frame: pl.LazyFrame) -> tuple[int, int]:
    names = [SOURCES[row] for row in kept(curriculum, frame)]
    return sum(name in ("web", "books") for name in names), sum(name in ("gpt", "llama") for name in names)


@given(st.floats(0, 0.999))
def test_accumulate_keeps_every_real_row_and_adds_up_to_the_share(share: float) -> None:
    real, synthetic = count(Accumulate(real=REAL, share=share), decided(SOURCES))
    assert real == 100
    assert synthetic == min(80, round(100 * share / (1 - share)))


@given(st.floats(0, 0.8))
def test_replace_keeps_the_number_of_rows(share: float) -> None:
    real, synthetic = count(Replace(real=REAL, share=share), decided(SOURCES))
    assert real + synthetic == 100 and synthetic == round(100 * share)


def test_rows_of_a_small_share_are_among_those_of_a_large_one() -> None:
    frame = decided(SOURCES)
    few, many = (set(kept(Accumulate(real=REAL, share=share), frame)) for share in (0.1, 0.4))
    assert few < many


def test_a_seed_draws_other_rows() -> None:
    frame = decided(SOURCES)
    first, again, other = (kept(Replace(real=REAL, seed=seed), frame) for seed in (1, 1, 2))
    assert first == again != other


def test_dropped_rows_do_not_count() -> None:
    frame = decided(SOURCES, dropped=range(60))
    assert Accumulate(real=REAL, share=0.5).report(frame)["real"] == 40
    names = {SOURCES[row] for row in kept(Replace(real=REAL, share=0.5), frame) if row >= 60}
    assert names == {"gpt", "books", "llama"}


def test_reports_say_what_share_was_reached() -> None:
    told = Accumulate(real=REAL, share=0.9).report(decided(SOURCES))
    assert told["synthetic"] == 80 and told["synthetic_share"] == pytest.approx(80 / 180)
    assert Replace(real=REAL, share=0.25).report(decided(SOURCES)) == {
        "real": 75.0,
        "synthetic": 25.0,
        "real_left_out": 25.0,
        "synthetic_left_out": 55.0,
        "synthetic_share": 0.25,
    }


@pytest.mark.parametrize("kind", [Accumulate, Replace])
@pytest.mark.parametrize(
    ("real", "match"), [((), "names no source"), (("wbe",), "no source matches 'wbe'"), (("*",), "no synthetic rows")]
)
def test_patterns_that_make_no_two_kinds_are_refused(
    kind: type[Accumulate] | type[Replace], real: tuple[str, ...], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        kind(real=real).rank(decided(SOURCES))


def test_replace_with_too_few_synthetic_rows_says_how_many_there_are() -> None:
    with pytest.raises(ConfigError, match=r"takes 90 synthetic ones, and there are 80. Set share to 0.8"):
        Replace(real=REAL, share=0.9).rank(decided(SOURCES))


@pytest.mark.parametrize(("kind", "share"), [(Accumulate, 1.0), (Replace, 1.1), (Replace, -0.1)])
def test_shares_outside_their_range_are_refused(kind: type[Accumulate] | type[Replace], share: float) -> None:
    with pytest.raises(ConfigError, match="share"):
        kind(share=share)


@pytest.mark.parametrize("kind", [Accumulate, Replace])
def test_they_keep_the_contract_and_are_registered(kind: type[Accumulate] | type[Replace]) -> None:
    (found,) = resolve([kind.name], 3)
    assert found == kind(seed=3) and isinstance(found, Curriculum) and isinstance(found, Resampling)
