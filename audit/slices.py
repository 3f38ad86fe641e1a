"""Slices of a scan: which units each of several independent processes measures, and what they leave in its folder.

All shards lie on one line of stored bytes, in corpus order; slice i of n is the i-th n-th of it, and has the units
whose middle lies there. So a slice opens and digests the few files that it has a share in, never all, and no slice has
more bytes than an n-th of them and one unit. Which units a slice has decides who does the work and nothing else:
whatever is left undone, the scan that puts them together does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors.errors import ConfigError, FindingsError

if TYPE_CHECKING:
    from audit.corpus import Shard
    from audit.measure import Part

__all__ = ["SLICES", "Line", "Slice", "SliceRecord", "slice_records", "unfinished"]

SLICES = "parts"
_MOST = 100_000
_NAME = re.compile(r"(\d+)-of-(\d+)\.json")


@dataclass(frozen=True)
class Slice:
    """One of `of` slices.

    Attributes:
        number: from 1.
        of: how many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Slice:
        """`2/4` is the second of four.

        Raises:
            ConfigError: anything else.
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]) <= _MOST:
            raise ConfigError(f"--part {text!r}: is no part. Give it as i/n, from 1/n to n/n, such as 2/4.")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def file(self, folder: Path, ending: str) -> Path:
        """A file of this slice in the folder of a scan."""
        return folder / SLICES / f"{self.number}-of-{self.of}.{ending}"


class Line:
    """The shards of a corpus on one line of bytes."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        sizes = [shard.size_bytes for shard in shards]
        self.total = max(1, sum(sizes))
        self._starts = dict(zip((shard.key for shard in shards), accumulate(sizes, initial=0), strict=False))

    def units(self, shard: Shard, parts: Sequence[Part], sizes: Sequence[int], piece: Slice) -> list[int]:
        """Which parts of a shard a slice has, by their position among them.

        Args:
            shard: one of the corpus.
            parts: its parts.
            sizes: bytes of each of its row groups.
            piece: the slice.
        """
        whole, found, before = 2 * max(1, sum(sizes)), [], 0
        for index, part in enumerate(parts):
            size = sum(sizes[part.first_group : part.first_group + part.groups])
            if self._slice_at(shard, 2 * before + size, whole, piece.of) == piece.number:
                found.append(index)
            before += size
        return found

    def has_middle(self, shard: Shard, piece: Slice) -> bool:
        """Whether a slice has a shard that is one unit."""
        return self._slice_at(shard, 1, 2, piece.of) == piece.number

    def touches(self, shard: Shard, piece: Slice) -> bool:
        """Whether a slice may have units of a shard; the file need not be opened for that."""
        return self._slice_at(shard, 0, 1, piece.of) <= piece.number <= self._slice_at(shard, 1, 1, piece.of)

    def _slice_at(self, shard: Shard, share: int, of: int, slices: int) -> int:
        """The slice, from 1, in which the place lies that is `share / of` into a shard. Exact, in whole numbers."""
        place = self._starts[shard.key] * of + shard.size_bytes * share
        return min(slices, place * slices // (self.total * of) + 1)


@dataclass(frozen=True)
class SliceRecord:
    """What a slice leaves beside the findings.

    Attributes:
        piece: which.
        settings: that its numbers depend on, as those of all slices of a scan must be.
        done: whether it was measured to its end; shards that cannot be read do not count.
        shards: records, JSON-ready, of the shards that it has measured whole.
    """

    piece: Slice
    settings: Mapping[str, Any]
    done: bool
    shards: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        return {"settings": self.settings, "done": self.done, "shards": list(self.shards)}

    def refuse_other(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Stop what would measure otherwise than this slice.

        Raises:
            ConfigError: with every difference spelled out.
        """
        changes = [
            f"{name}: {self.settings.get(name)!r} in part {self.piece}, {settings.get(name)!r} now"
            for name in sorted({*settings, *self.settings})
            if settings.get(name) != self.settings.get(name)
        ]
        if changes:
            raise ConfigError(
                f"{folder}: its parts are scanned otherwise than this ({'; '.join(changes)}). "
                "Give the same options, or scan into another folder."
            )


def slice_records(folder: Path) -> list[SliceRecord]:
    """What the slices have left in the folder of a scan, by number; empty where it was not scanned in slices.

    Raises:
        FindingsError: a record is damaged.
    """
    found = []
    for path in (folder / SLICES).glob("*-of-*.json"):
        named = _NAME.fullmatch(path.name)
        if named is None:
            continue
        try:
            record = json.loads(path.read_text("utf-8"))
            piece = Slice(int(named[1]), int(named[2]))
            found.append(SliceRecord(piece, record["settings"], bool(record["done"]), tuple(record["shards"])))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise FindingsError(f"{path}: is damaged ({error!r}). Remove it and run that part again.") from error
    return sorted(found, key=lambda record: record.piece.number)


def unfinished(folder: Path) -> str | None:
    """Why a folder that was scanned in slices holds no findings yet, and what to do; None where it was not."""
    records = slice_records(folder)
    if not records:
        return None
    of = max(record.piece.of for record in records)
    missing = sorted(set(range(1, of + 1)) - {record.piece.number for record in records if record.done})
    finish = f"foxing scan PATHS -o {folder}"
    if not missing:
        return f"{folder}: all {of} parts are measured, but not put together. Finish with: {finish}"
    which = ", ".join(_runs(missing))
    what = f"part {which} of {of} has" if len(missing) == 1 else f"parts {which} of {of} have"
    others = " and so on" if len(missing) > 1 else ""
    return f"{folder}: {what} not finished. Run {finish} --part {missing[0]}/{of}{others}, then finish with: {finish}"


def _runs(numbers: Sequence[int]) -> Iterator[str]:
    """`1, 3-5` of 1, 3, 4, 5."""
    start = 0
    for at, number in enumerate(numbers):
        if at + 1 == len(numbers) or numbers[at + 1] != number + 1:
            yield str(number) if start == at else f"{numbers[start]}-{number}"
            start = at + 1
