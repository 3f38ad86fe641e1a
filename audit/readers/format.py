"""File formats, by what a file's name promises."""

from __future__ import annotations

from enum import Enum

__all__ = ["Format"]

_COMPRESSIONS = (".gz", ".zst", ".zstd")


class Format(Enum):
    """File formats by what follows the name's last dot (compression aside)."""

    PARQUET = "parquet"
    JSONL = "jsonl"
    ARROW = "arrow"
    CSV = "csv"
    TEXT = "text"

    @classmethod
    def of(cls, name: str) -> Format | None:
        """The format a file name promises, None when it promises none."""
        return _SUFFIXES.get(_uncompressed(name).lower().rpartition(".")[2])

    @staticmethod
    def stem(name: str) -> str:
        """The name without what `of` reads."""
        bare = _uncompressed(name)
        return bare.rpartition(".")[0] if Format.of(bare) and not bare.startswith(".") else bare


def _uncompressed(name: str) -> str:
    for ending in _COMPRESSIONS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


_SUFFIXES = {
    "parquet": Format.PARQUET,
    "pq": Format.PARQUET,
    "jsonl": Format.JSONL,
    "ndjson": Format.JSONL,
    "json": Format.JSONL,
    "arrow": Format.ARROW,
    "feather": Format.ARROW,
    "ipc": Format.ARROW,
    "csv": Format.CSV,
    "tsv": Format.CSV,
    "txt": Format.TEXT,
    "md": Format.TEXT,
}
