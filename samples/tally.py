"""Holds a curated sample corpus against the truth: rows kept and dropped, and where they went.

python samples/tally.py OUT        OUT is what `foxing curate samples-audit -o OUT` wrote
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

ENOUGH_ROWS = 200
FILES = {
    "c": "crawl",
    "d": "docstrings",
    "f": "content_farm",
    "h": "handbook",
    "q": "qa",
    "s": "support_chat",
    "t": "translated",
}


def main(out: Path) -> None:
    """Print kept and dropped rows by file and author, and who wrote the early and late rows of large series."""
    kept, dropped = _count(out / "data"), _count(out / "dropped")
    print(f"{'file':<14} {'written by':<11} {'kept':>6} {'dropped':>8}")
    for name, author in sorted(kept.keys() | dropped.keys()):
        print(f"{name:<14} {author:<11} {kept[name, author]:>6,} {dropped[name, author]:>8,}")
    for series in sorted((out / "data").iterdir()):
        authors = [author for path in sorted(series.glob("*.parquet")) for author in _authors(path)]
        if len(authors) >= ENOUGH_ROWS:
            half = len(authors) // 2
            early, late = (part.count("machine") / len(part) for part in (authors[:half], authors[half:]))
            print(
                f"{series.relative_to(out)}: {early:.0%} of the first half is machine-written, {late:.0%} of the second"
            )


def _authors(path: Path) -> list[str]:
    authors: list[str] = pq.read_table(path, columns=["written_by"]).column(0).to_pylist()
    return authors


def _count(folder: Path) -> Counter[tuple[str, str]]:
    """Rows by the file that their id begins with, and by author."""
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted(folder.rglob("*.parquet")):
        table = pq.read_table(path, columns=["id", "written_by"])
        ids, authors = table["id"].to_pylist(), table["written_by"].to_pylist()
        found.update((FILES[key[0]], author) for key, author in zip(ids, authors, strict=True))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
