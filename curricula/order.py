"""Curricula that only order: human-first, original and shuffled."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

__all__ = ["HumanFirst", "Original", "Shuffled", "row_hash", "tie_hash"]

U64 = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def splitmix64(values: U64) -> U64:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), a bijection of 64-bit integers that scatters them."""
    mixed = values + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def row_hash(shard: str, rows: npt.NDArray[np.int64], seed: int) -> U64:
    """64-bit hash of `(shard, row, seed)` for each of `rows`: the same on every platform and in every version.

    BLAKE2b-64 of the shard's key and the seed, little-endian, xor SplitMix64 of the row, mixed again.
    """
    name = hashlib.blake2b(shard.encode("utf-8", "surrogatepass"), digest_size=8, key=str(seed).encode()).digest()
    return splitmix64(splitmix64(rows.astype(np.uint64)) ^ np.uint64(int.from_bytes(name, "little")))


def tie_hash(seed: int) -> pl.Expr:
    """`row_hash` as an expression over the columns `shard` and `row`: UInt64."""
    import polars as pl

    def hashed(pairs: pl.Series) -> pl.Series:
        shards, rows = pairs.struct.field("shard"), pairs.struct.field("row").to_numpy()
        out = np.empty(len(rows), np.uint64)
        edges = np.flatnonzero((shards != shards.shift()).fill_null(True).to_numpy()).tolist()
        for start, stop in itertools.pairwise([*edges, len(rows)]):
            out[start:stop] = row_hash(shards[start], rows[start:stop].astype(np.int64), seed)
        return pl.Series(out)

    return pl.struct("shard", "row").map_batches(hashed, return_dtype=pl.UInt64, is_elementwise=True)


def _ordered_bits(score: pl.Expr) -> pl.Expr:
    """Float32 as an Int64 in [-2^31, 2^31) of the same order; NaN and null become null."""
    import polars as pl

    bits = score.cast(pl.Float32).fill_nan(None).reinterpret(dtype=pl.Int32).cast(pl.Int64)
    return pl.when(bits >= 0).then(bits).otherwise(-(2**31) - bits - 1)


@dataclass(frozen=True)
class HumanFirst:
    """Human-like text first: ascending `ai_text.score`, ties by `row_hash`.

    Resemblance to human text is strategy 3 of "Regurgitative Training" (Zhang et al. 2024). A detector is no judge of
    rows that it was trained on; where yours was, see docs/curricula.md. Rows without a score (abstained, unmeasured)
    follow the scored ones in corpus order. The rank is the score's float32 bits above 32 bits of hash, so equal scores
    are shuffled by the seed and no sort is needed to compute it.
    """

    name: ClassVar[str] = "human-first"
    orders: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("ai_text",)
    seed: int = 17

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Rank by score; see the class."""
        import polars as pl

        place = _ordered_bits(pl.col("ai_text").struct.field("score")) * 2**32
        return decided.select("index", rank=place + (tie_hash(self.seed) // 2**32).cast(pl.Int64))


@dataclass(frozen=True)
class Original:
    """The order of the corpus, unchanged."""

    name: ClassVar[str] = "original"
    orders: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 17

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Equal ranks keep corpus order, so every row gets 0."""
        import polars as pl

        return decided.select("index", rank=pl.lit(0, pl.Int64))


@dataclass(frozen=True)
class Shuffled:
    """A random order, the same for the same seed: ascending `row_hash`."""

    name: ClassVar[str] = "shuffled"
    orders: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 17

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Rank by hash of shard, row and seed."""
        import polars as pl

        return decided.select("index", rank=(tie_hash(self.seed) // 2).cast(pl.Int64))
