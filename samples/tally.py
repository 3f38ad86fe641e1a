"""Holds a curated sample corpus against the truth: who wrote the rows that stay, go, come early and come late.

python samples/tally.py OUT        OUT is what `foxing curate DIR -o OUT` wrote
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from curricula.manifest import Manifest
from curricula.manifest_reader import read_manifest


@dataclass
class Authors:
    """Who wrote rows (`written_by`), each list in output order."""

    first: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    @property
    def kept(self) -> list[str]:
        """Rows of data/."""
        return self.first + self.second

    def add(self, other: Authors) -> None:
        """Take in another series: every series has an order, so a first and a second half, of its own."""
        self.first += other.first
        self.second += other.second
        self.dropped += other.dropped


def main(out: Path) -> None:
    """Print the share of machine-written rows before and after, and by half of the kept order, per series."""
    manifest = read_manifest(out)
    lines, every = [], Authors()
    for series in manifest.series:
        found = _authors(manifest, out, series.name)
        every.add(found)
        files = ", ".join(shard.key for shard in manifest.inputs if shard.series == series.name)
        lines.append(_line(files, found))
    print(f"{'machine-written':<42} {'before':>13} {'kept':>13} {'dropped':>13} {'first half':>13} {'second half':>13}")
    print("\n".join([*lines, _line("all files", every)]))
    print("Halves are those of the kept rows in the order they were written; files of one schema share an order.")


def _line(name: str, found: Authors) -> str:
    columns = (found.kept + found.dropped, found.kept, found.dropped, found.first, found.second)
    label = name if len(name) <= 42 else f"{name}\n{'':<42}"
    return f"{label:<42} " + " ".join(f"{_share(column):>13}" for column in columns)


def _share(authors: list[str]) -> str:
    """Machine-written rows of all, such as `12/240   5%`."""
    machine = authors.count("machine")
    return f"{machine}/{len(authors)} {machine / len(authors):4.0%}" if authors else "-"


def _authors(manifest: Manifest, out: Path, series: str) -> Authors:
    data, dropped = (
        [author for receipt in folder if receipt.series == series for author in _read(out / receipt.path)]
        for folder in (manifest.data, manifest.dropped)
    )
    half = len(data) // 2
    return Authors(data[:half], data[half:], dropped)


def _read(path: Path) -> list[str]:
    authors: list[str] = pq.read_table(path, columns=["written_by"]).column(0).to_pylist()
    return authors


if __name__ == "__main__":
    main(Path(sys.argv[1]))
