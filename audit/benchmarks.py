"""Reads benchmark files and makes the index that `detectors.leakage` searches for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from audit.benchmark_layout import ItemLayout, ItemText, find_item_layout
from audit.corpus import Corpus, Shard
from audit.readers import Format
from audit.readers.jsonl import is_json_text, parse_json_text
from detectors.benchmark_index import BenchmarkIndex
from detectors.documents import Documents
from detectors.errors import InputError

__all__ = ["Item", "index_items", "read_items"]

_SPLIT = re.compile(
    r"(train|training|test|validation|valid|val|dev|data|default|all)([-_.].*)?|\d+|part-.*", re.IGNORECASE
)


@dataclass(frozen=True)
class Item:
    """One item of a benchmark, and where it was read."""

    benchmark: str
    id: str
    text: ItemText
    uri: str
    row: int


def read_items(paths: Sequence[str], *, name: str | None = None) -> list[Item]:
    """The items of files, folders and globs, in corpus order.

    An item's benchmark is what its row says (`benchmark`, `task`, `subset`, `dataset_name`), else `name`, else the
    file's name, or its folder's where the file is named after a split. Its id is what its row says (`id`, `task_id`,
    `question_id`, `idx`, ...), else the row's number, behind the file's name where there are several files.

    Raises:
        InputError: a file that does not hold items; columns are named.
        ShardError: a file that cannot be read.
    """
    shards = Corpus.open(paths).shards
    items = [item for shard in shards for item in _items_of(shard, name, several=len(shards) > 1)]
    if not any(item.text.question or item.text.between or item.text.answer for item in items):
        raise InputError(f"{shards[0].uri}: no item in it has any text. Check its columns.")
    return items


def index_items(items: Sequence[Item], *, n: Mapping[str, int] | None = None) -> BenchmarkIndex:
    """The index of these items.

    Args:
        items: in any order.
        n: words of an n-gram, by benchmark; 13 where it is not said.
    """
    texts = [item.text for item in items]
    whole = ["\n".join(part for part in (one.question, one.between, one.answer) if part) for one in texts]
    questions = Documents.from_texts([one.question for one in texts]).words.counts
    answers = Documents.from_texts([one.answer for one in texts]).words.counts
    return BenchmarkIndex.from_documents(
        Documents.from_texts([*whole]),
        [item.benchmark for item in items],
        [item.id for item in items],
        question_words=questions.tolist(),
        answer_words=answers.tolist(),
        n=n,
    )


def _items_of(shard: Shard, name: str | None, *, several: bool) -> Iterator[Item]:
    schema = shard.schema()
    layout = find_item_layout(schema.names, shard.uri)
    stem = _stem(shard.uri)
    fallback = name or stem
    file = Format.stem(shard.uri.rsplit("/", 1)[-1])
    row = 0
    for batch in shard.batches(list(layout.columns)):
        columns = {key: _values(batch.column(key), schema.field(key)) for key in layout.columns}
        for at in range(batch.num_rows):
            values = {key: column[at] for key, column in columns.items()}
            benchmark = _name(values, layout.benchmark) or fallback
            number = f"{file}:{row}" if several else str(row)
            yield Item(benchmark, _name(values, layout.id) or number, _read(layout, values, shard, row), shard.uri, row)
            row += 1


def _values(column: pa.Array, field: pa.Field) -> list[object]:
    values: list[object] = parse_json_text(column) if is_json_text(field) else column.to_pylist()
    return values


def _read(layout: ItemLayout, values: Mapping[str, object], shard: Shard, row: int) -> ItemText:
    try:
        return layout.text(values)
    except InputError as error:
        raise InputError(f"{shard.uri}: row {row}: {error}") from None


def _name(values: Mapping[str, object], column: str | None) -> str | None:
    value = None if column is None else values[column]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None or value == "" else str(value)


def _stem(uri: str) -> str:
    """The file's name without its ending, or the folder's where it only says which split the file is."""
    *folders, file = uri.rstrip("/").split("/")
    names = [Format.stem(file), *reversed(folders)]
    return next((name for name in names if name and not _SPLIT.fullmatch(name)), names[0])
