"""What is to be forgotten and what is to be retained."""

from __future__ import annotations

import polars as pl
import pytest

from curricula.composing import resolve
from curricula.forget_split import ForgetSplit
from curricula.protocols import Curriculum, Resampling
from detectors.errors import ConfigError
from tests.curricula.decided import decided

SOURCES = ["web"] * 4 + ["qa"] * 4
RULES = [["FX204"], [], ["FX101", "FX204"], ["FX101"], [], ["FX204"], [], []]


def frame(dropped: tuple[int, ...] = ()) -> pl.LazyFrame:
    return decided(SOURCES, dropped=dropped).with_columns(pl.Series("rules", RULES, pl.List(pl.String)))


def chosen(curriculum: ForgetSplit, dropped: tuple[int, ...] = ()) -> set[int]:
    kept = curriculum.rank(frame(dropped)).collect().filter(pl.col("copies") == 1)["index"].to_list()
    return set(kept) - set(dropped)


@pytest.mark.parametrize("settings", [{}, {"sources": ("q*",)}, {"rules": (), "sources": ("web",)}])
def test_the_parts_are_disjoint_and_together_all_that_is_kept(settings: dict[str, tuple[str, ...]]) -> None:
    forget, retain = (chosen(ForgetSplit(part=part, **settings), (1,)) for part in ("forget", "retain"))  # type: ignore[arg-type]
    assert not forget & retain and forget | retain == set(range(8)) - {1}


def test_rules_and_sources_say_what_to_forget() -> None:
    assert chosen(ForgetSplit()) == {0, 2, 5}
    assert chosen(ForgetSplit(rules=("FX101", "FX9"))) == {2, 3}
    assert chosen(ForgetSplit(sources=("q*",))) == {0, 2, 4, 5, 6, 7}
    assert ForgetSplit().report(frame((0,))) == {"forget": 2.0, "retain": 5.0}


def test_a_part_without_rows_is_refused() -> None:
    with pytest.raises(ConfigError, match="no row is left to forget"):
        ForgetSplit(rules=("FX402",)).rank(frame())
    with pytest.raises(ConfigError, match="no row is left to forget"):
        ForgetSplit(part="retain", rules=("FX240",)).rank(frame())  # a slip of the pen would retain all
    with pytest.raises(ConfigError, match="no row is left to retain"):
        ForgetSplit(part="retain", sources=("*",)).rank(frame())


@pytest.mark.parametrize("settings", [{"part": "test"}, {"rules": ()}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ForgetSplit(**settings)  # type: ignore[arg-type]


def test_it_keeps_the_contract_and_is_registered() -> None:
    (found,) = resolve(["forget-split"], 3)
    assert found == ForgetSplit(seed=3) and isinstance(found, Curriculum) and isinstance(found, Resampling)
