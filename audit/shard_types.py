"""Compares the column types of shards: which file gives a column another type than most."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from audit.worst import Case

if TYPE_CHECKING:
    from audit.findings_folder import ShardRecord

__all__ = ["odd_types"]

# The type itself, not a struct field of that name.
_NULL = re.compile(r"\bnull\b(?!:)")


def odd_types(shards: Iterable[ShardRecord]) -> list[Case]:
    """Columns whose type differs from the type that most shards give them; on a tie the first shard's counts.

    A column, list item or field that is null throughout a shard fits any type. Arrow's large and view types are the
    plain ones. Dictionary-encoded text is a type of its own, because readers that fix a schema do not mix it with text.
    """
    shards = list(shards)
    usual: dict[str, str] = {}
    for name in dict.fromkeys(name for shard in shards for name in shard.columns):
        types = Counter(_alike(shard.columns[name]) for shard in shards if name in shard.columns)
        told = [kind for kind in types if not any(_leaves_open(kind, other) for other in types)]
        usual[name] = max(told, key=lambda kind: sum(types[other] for other in types if _fits(other, kind)))
    return [
        Case(shard.uri, None, None, {}, f"column {name!r} is {kind}, in most shards {usual[name]}")
        for shard in shards
        for name, kind in shard.columns.items()
        if not _fits(_alike(kind), usual[name])
    ]


def _alike(kind: str) -> str:
    """Arrow's widths and views of one type are one type to whoever reads the corpus."""
    return re.sub(r"\b(?:large_)?(string|binary|list)(?:_view)?\b", r"\1", kind)


def _fits(kind: str, usual: str) -> bool:
    return kind == usual or _leaves_open(kind, usual) or _leaves_open(usual, kind)


def _leaves_open(kind: str, other: str) -> bool:
    """Whether a type is another one but for parts that are null in it."""
    return kind != other and re.fullmatch(".+".join(map(re.escape, _NULL.split(kind))), other) is not None
