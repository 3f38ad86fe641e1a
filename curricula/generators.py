"""Mixes the texts of several generators so that what is read early is varied: in turn, or by what is new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curricula.block_order import Blocks, gained, greedy_order
from curricula.interleaving import interleaved, within
from curricula.order import tie_hash
from curricula.ranks import Rows, ranks_of, rows_of, sources_of
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MixGenerators"]

_METHODS = ("round-robin", "greedy")
_MOST_GRAMS = 1 << 24  # each takes some 17 bytes
_FINE = 1 << 10  # what is counted of a thinned sample is counted in these parts
_MIXER = 0x9E3779B1


@dataclass(frozen=True)
class MixGenerators:
    """Interleaves sources: in turn, or always the one that adds most n-grams that were not there before.

    Strategy 2 of "Regurgitative Training" (Zhang et al. 2024, arXiv:2407.12835): data of several models together, for
    what one model writes is of less lexical diversity. What is a source is up to the scan: `--by author` makes each
    author one. Rows of a source come in random order.

    `round-robin` takes each source in proportion to its rows throughout. `greedy` cuts the rows of each source into
    blocks of about `block` n-grams, and takes next, of the next block of each source, the one with the largest share of
    n-grams that no earlier block has. Which those are is an estimate, by the sample that the signal `gram_sample` keeps
    (1 in 16 n-grams). It puts varied sources first and sources that repeat themselves, or others, last; noise is varied
    too, so look at the sources that it likes. Rows without a sample (fewer than n words) follow in corpus order. Where
    the samples hold more than some 16.8 million n-grams, every second, fourth and so on is taken, by its hash, and
    blocks are as many times larger: memory is bounded, and a block is judged by as many n-grams as before.

    Args:
        seed: of the order inside sources.
        method: `round-robin` or `greedy`.
        block: n-grams of a block, about; 1 or more.

    Raises:
        ConfigError: another method, or a block of no n-grams.
    """

    name: ClassVar[str] = "mix-generators"
    orders: ClassVar[bool] = True
    seed: int = 17
    method: str = "round-robin"
    block: int = 2000

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise ConfigError(f"method = {self.method!r} is none of {', '.join(_METHODS)}. Choose one of them.")
        if self.block < 1:
            raise ConfigError(f"block = {self.block} is not 1 or more. Change its value.")

    @property
    def needs(self) -> tuple[str, ...]:
        """Samples of n-grams, where it is greedy."""
        return ("gram_sample",) if self.method == "greedy" else ()

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Interleave; see the class."""
        if self.method == "round-robin":
            rows = rows_of(decided, source=sources_of(decided)[1], hash=tie_hash(self.seed))
            return rows.ranked(interleaved(rows["source"], rows.kept, rows["hash"]))
        rows, blocks = self._cut(decided)
        known = np.zeros(len(rows.index), np.bool_)
        known[blocks.order] = True
        return rows.ranked(ranks_of(blocks.laid(greedy_order(blocks)), len(known)), known)

    def report(self, decided: pl.LazyFrame) -> dict[str, float]:
        """Of greedy mixing, `distinct_at_25` and `distinct_at_50`; nothing of round-robin.

        They are the different n-grams in the first 25 and 50 % of all n-grams, for each one that there is in as much of
        the order that takes blocks of sources in turn.
        """
        if self.method == "round-robin":
            return {}
        _, blocks = self._cut(decided)
        if not len(blocks.source):
            return {}
        chosen = greedy_order(blocks)
        turn = np.argsort(
            interleaved(blocks.source, np.ones(len(chosen), np.bool_), np.arange(len(chosen))), kind="stable"
        )
        return {
            f"distinct_at_{share}": gained(blocks, chosen, share / 100) / max(1.0, gained(blocks, turn, share / 100))
            for share in (25, 50)
        }

    def _cut(self, decided: pl.LazyFrame) -> tuple[Rows, Blocks]:
        """The rows, and those with a sample in blocks."""
        import polars as pl

        field = pl.col("gram_sample").struct.field
        counts = {name: field(name).cast(pl.Int64).fill_null(0) for name in ("drawn", "grams")}
        of = {"source": sources_of(decided)[1], "hash": tie_hash(self.seed)}
        sample, sizes = field("sample"), field("sample").list.len()
        every = _thinning(decided.select(sizes.sum()).collect(engine="streaming").item())
        if every > 1:
            sample = _thinned(sample, every)
            counts["drawn"] = (counts["drawn"] * _FINE * sample.list.len() // pl.max_horizontal(sizes, 1)).fill_null(0)
        rows = rows_of(decided, sample=sample, **counts, **of)
        order, _ = within(rows["source"], rows.kept & (rows["grams"] > 0), rows["hash"])
        del rows.columns["hash"]
        lists = rows.columns.pop("sample").to_arrow()
        return rows, Blocks.of(rows["source"], order, (rows["grams"], rows["drawn"]), lists, every * self.block)


def _thinning(grams: int | None) -> int:
    """How many n-grams of the samples one is to stand for: a power of two."""
    return 1 << max(0, -(-(grams or 0) // _MOST_GRAMS) - 1).bit_length()


def _thinned(sample: pl.Expr, every: int) -> pl.Expr:
    """One n-gram in so many of each sample, the same ones everywhere."""
    import polars as pl

    mixed = pl.element().cast(pl.UInt64) * _MIXER // 2**12 % every
    return sample.list.eval(pl.element().filter(mixed == 0))
