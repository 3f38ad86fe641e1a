"""The rows that a model is trained on, in the order of the shards that `foxing curate` wrote, from any row on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from audit.corpus import Corpus, Shard
from audit.layout import Kind, Layout, find_layout
from audit.remote import is_below
from audit.storage import is_remote, open_binary, stat
from curricula.encoding import TEMPLATE, Encoded, Encoder, pieces_of
from curricula.form_mask import form_rows
from curricula.manifest import NAME
from curricula.order import row_hash
from curricula.packing import Row
from curricula.slick import IDK
from detectors.errors import InputError

__all__ = ["TrainingRows", "open_rows", "shards_in_order"]

_CURATED = ("data", "dropped")


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows, encoded as they are read.

    Attributes:
        shards: files, in the order of training.
        encoder: cuts rows into tokens.
        text: the text column; None is found by convention.
        pairs: whether an encoder reads what comes before the answer.
        template: of questions with answers.
        shuffle: seed of an order that each pass draws anew; None keeps the rows' own, and reads them as they come.
            Shuffled rows are held in memory, 9 bytes a token.
        relabel: share of rows, drawn at random, whose answer becomes "I don't know".
        seed: of that draw.
        form: learn the form of texts and answers only (`curricula.form_mask`): what is to be forgotten of a format.
    """

    shards: tuple[Shard, ...]
    encoder: Encoder
    text: str | None = None
    pairs: bool = False
    template: str = TEMPLATE
    shuffle: int | None = None
    relabel: float = 0.0
    seed: int = 17
    form: bool = False

    @cached_property
    def layouts(self) -> tuple[Layout, ...]:
        """What the columns of each shard mean."""
        return tuple(find_layout(shard.schema().names, shard.uri, text=self.text) for shard in self.shards)

    @property
    def is_text(self) -> bool:
        """Whether rows are plain text throughout."""
        return all(layout.kind is Kind.TEXT for layout in self.layouts)

    @cached_property
    def rows_of(self) -> tuple[int, ...]:
        """Rows of each shard."""
        return tuple(self._count(shard, layout) for shard, layout in zip(self.shards, self.layouts, strict=True))

    @property
    def rows(self) -> int:
        """Rows of a pass."""
        return sum(self.rows_of)

    def read(self, epoch: int, first: int) -> Iterator[Row]:
        """The rows of a pass, from one on."""
        if self.shuffle is None:
            yield from self._in_order(first)
            return
        order = np.random.default_rng([self.shuffle, epoch]).permutation(self.rows)
        for number in range(first, self.rows):
            yield Row(number, self._held[int(order[number])])

    @cached_property
    def _held(self) -> list[Encoded | None]:
        return [row.encoded for row in self._in_order(0)]

    def _in_order(self, first: int) -> Iterator[Row]:
        number = 0
        for shard, layout, rows in zip(self.shards, self.layouts, self.rows_of, strict=True):
            if number + rows <= first:
                number += rows
                continue
            group, number = _group_of(shard, max(0, first - number), number)
            for batch in shard.batches(list(layout.columns), first_group=group):
                skip = min(max(0, first - number), batch.num_rows)
                number += skip
                rest = batch.slice(skip)
                for encoded in self._encoded(rest, layout, number):
                    yield Row(number, encoded)
                    number += 1

    def _encoded(self, batch: pa.RecordBatch, layout: Layout, first: int) -> Iterator[Encoded | None]:
        if self.form:
            return form_rows(self.encoder, batch, layout, template=self.template)
        other = self._relabelled(first, batch.num_rows) if self.relabel else None
        return self.encoder.rows(batch, layout, pairs=self.pairs, template=self.template, other=other)

    def _relabelled(self, first: int, rows: int) -> list[str | None]:
        """For each of some rows the answer that takes the place of its own."""
        numbers = np.arange(first, first + rows, dtype=np.int64)
        drawn = row_hash("relabel", numbers, self.seed) < np.uint64(min(self.relabel, 1.0) * (2**64 - 2**11))
        return [IDK if one else None for one in drawn.tolist()]

    def texts(self, characters: int) -> Iterator[str]:
        """Texts of the first rows, up to so many characters, for a tokenizer to learn from."""
        for shard, layout in zip(self.shards, self.layouts, strict=True):
            for batch in shard.batches(list(layout.columns)):
                for pieces in pieces_of(batch, layout, self.template):
                    for piece in pieces:
                        yield piece.text
                        characters -= len(piece.text)
                    if characters <= 0:
                        return

    def _count(self, shard: Shard, layout: Layout) -> int:
        groups = shard.groups()
        if groups is not None:
            return sum(group.rows for group in groups)
        return sum(batch.num_rows for batch in shard.batches(list(layout.columns)))


def _group_of(shard: Shard, row: int, before: int) -> tuple[int, int]:
    """The row group that holds a row, and the number of its first row, `before` being that of the shard's."""
    groups = shard.groups()
    if groups is None:
        return 0, before
    edges = np.cumsum([0, *(group.rows for group in groups)])
    group = max(0, int(np.searchsorted(edges, row, side="right")) - 1)
    return group, before + int(edges[group])


def shards_in_order(paths: Sequence[str]) -> tuple[Shard, ...]:
    """The files that paths name, in the order of training: of a curated folder or its manifest, that of the manifest.

    Raises:
        InputError: a path without data, or where `foxing curate` has not ended.
    """
    found: list[Shard] = []
    for path in paths:
        manifest = _manifest_of(path)
        named = [path] if manifest is None else _data_of(manifest)
        for one in named:
            found += Corpus.open([one]).shards
    if not found:
        raise InputError("no training data. Name a curated folder, files or a directory.")
    return tuple(found)


def _manifest_of(path: str) -> str | None:
    """The address of a curated folder's manifest, or None where the path is none."""
    if any(mark in path for mark in "*?["):
        return None
    folder = path.removesuffix(NAME).rstrip("/") if path.rsplit("/", 1)[-1] == NAME else path.rstrip("/")
    there = f"{folder or '.'}/{NAME}"
    if _is_there(there):
        return there
    if not is_remote(path) and all((Path(path.removeprefix("file://")) / name).is_dir() for name in _CURATED):
        raise InputError(f"{path}: has no {NAME}, so foxing curate did not end there. Run it again, or name the files.")
    return None


def _is_there(uri: str) -> bool:
    try:
        stat(uri)
    except OSError:
        return False
    return True


def _data_of(manifest: str) -> list[str]:
    try:
        with open_binary(manifest) as handle:
            paths = [receipt["path"] for receipt in json.load(handle)["data"]]
        if outside := [path for path in paths if not is_below(path)]:
            raise InputError(
                f"{manifest}: names {outside[0]}, outside its folder. It was not written by foxing curate."
            )
        return [f"{manifest.rpartition('/')[0]}/{path}" for path in paths]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{manifest}: is no manifest of foxing curate ({error!r}). Name the data files.") from error


def open_rows(
    paths: Sequence[str],
    encoder: Encoder,
    *,
    text: str | None = None,
    pairs: bool = False,
    template: str = TEMPLATE,
    shuffle: int | None = None,
) -> TrainingRows:
    """Rows of files, whose columns are looked at now."""
    rows = TrainingRows(shards_in_order(paths), encoder, text, pairs, template, shuffle)
    _ = rows.layouts
    return rows
