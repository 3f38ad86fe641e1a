"""Lets a model write the answers, or go on with the texts, of a corpus: synthetic data whose origin is known."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from audit.layout import Kind, Layout, find_layout
from audit.readers import Group
from curricula.encoding import Piece, pieces_of
from curricula.model import EncoderDecoder
from curricula.training_rows import shards_in_order
from curricula.writing import Sampling, Writer, open_writer
from detectors.errors import ConfigError, InputError, OutputError
from detectors.protocols import Device

__all__ = ["generate"]

I64 = npt.NDArray[np.int64]
_REQUEST, _DATA, _GENERATOR = "generated.json", "data", "generator"


def generate(
    name: str,
    paths: Sequence[str],
    out: Path,
    sampling: Sampling,
    *,
    label: str | None = None,
    text: str | None = None,
    rows: int = 0,
    device: Device = Device.AUTO,
    precision: str = "auto",
    on_rows: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int]:
    """Write OUT/data/part-*.parquet: the rows of a corpus, with what the model writes in place of their answer or text.

    A question, instruction or source is the prompt of its answer; of a plain text the first `prefix` tokens stay and
    the rest is the model's. All other columns stay; the column `generator` names the model. Rows without a prompt are
    left out and counted. A run that was killed goes on after its last whole part.

    Args:
        name: folder, GGUF file or hub id of a causal model, or folder of an encoder-decoder that foxing trained.
        paths: curated folders, files, directories.
        out: new folder, or one that the same request was writing.
        sampling: how.
        label: what the column `generator` says; None is the model's name.
        text: the text column, None by convention.
        rows: how many rows to write at most; 0 is all.
        device: where.
        precision: of the model's weights.
        on_rows: told how many rows are done, of how many.

    Returns:
        Rows written, and rows left out.

    Raises:
        ConfigError: the folder holds another request's output.
        InputError: rows of a chat, or no data.
        OutputError: a folder with files of others.
    """
    shards = shards_in_order(paths)
    layouts = [find_layout(shard.schema().names, shard.uri, text=text) for shard in shards]
    for shard, layout in zip(shards, layouts, strict=True):
        if layout.kind is Kind.CHAT:
            raise InputError(f"{shard.uri}: chats have no single answer. Give questions with answers, or plain text.")
    writer = open_writer(name, device, precision)
    request = [asdict(sampling), [shard.digest() for shard in shards], writer.digest, label, text, rows]
    _begin(out, hashlib.sha256(json.dumps(request).encode()).hexdigest())
    total = rows or sum(_rows_of(shard.groups()) for shard in shards)
    written = left = number = 0
    batches = ((batch, layout) for shard, layout in zip(shards, layouts, strict=True) for batch in shard.batches())
    for batch, layout in _limited(batches, sampling.part, rows):
        file = out / _DATA / f"part-{number:05d}.parquet"
        if file.exists():
            there = pq.read_metadata(file).num_rows
        else:
            table = _written(writer, batch, layout, sampling, label or writer.name, number)
            there = table.num_rows
            file.parent.mkdir(exist_ok=True)
            temporary = out / f".part-{os.getpid()}"
            pq.write_table(table, temporary, compression="zstd")
            temporary.rename(file)
        written, left, number = written + there, left + batch.num_rows - there, number + 1
        on_rows(written + left, total)
    return written, left


def _rows_of(groups: Sequence[Group] | None) -> int:
    return sum(group.rows for group in groups or ())


def _begin(out: Path, request: str) -> None:
    """Take the folder, or go on in it."""
    record = out / _REQUEST
    if record.is_file():
        if json.loads(record.read_text())["request"] != request:
            raise ConfigError(f"{out}: holds what another request wrote. Name a new folder with -o.")
        return
    if out.is_dir() and any(out.iterdir()):
        raise OutputError(f"{out}: is not empty, and foxing generate did not write it. Name a new folder with -o.")
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f".{_REQUEST}"
    temporary.write_text(json.dumps({"format": "foxing-generated", "version": 1, "request": request}) + "\n")
    temporary.replace(record)


Slice = tuple[pa.RecordBatch, Layout]


def _limited(batches: Iterator[Slice], size: int, rows: int) -> Iterator[Slice]:
    """Batches of at most `size` rows, and no more than `rows` in all unless that is 0."""
    left = rows
    for batch, layout in batches:
        for start in range(0, batch.num_rows, size):
            part = batch.slice(start, min(size, left) if rows else size)
            if part.num_rows:
                yield part, layout
            left -= part.num_rows
            if rows and left <= 0:
                return


def _written(
    writer: Writer, batch: pa.RecordBatch, layout: Layout, sampling: Sampling, label: str, number: int
) -> pa.Table:
    """The rows that have a prompt, with what the model wrote."""
    taken = pieces_of(_unanswered(batch, layout), layout, _template(writer, sampling))
    prompts = [_prompt(writer, pieces, layout, sampling) for pieces in taken]
    keep = [row for row, prompt in enumerate(prompts) if prompt is not None]
    chosen = [prompt for prompt in prompts if prompt is not None]
    seed = int.from_bytes(hashlib.blake2b(f"{sampling.seed} {number}".encode(), digest_size=7).digest())
    answers = writer.write(chosen, sampling, seed)
    texts = [
        writer.encoder.tokenizer.decode([*(prompt if layout.kind is Kind.TEXT else ()), *ids]).strip()
        for prompt, ids in zip(chosen, answers, strict=True)
    ]
    table = pa.Table.from_batches([batch.take(pa.array(keep, pa.int64()))])
    column = layout.columns[-1]
    table = table.set_column(table.schema.get_field_index(column), column, pa.array(texts, pa.large_string()))
    if _GENERATOR in table.column_names:
        table = table.drop_columns([_GENERATOR])
    return table.append_column(_GENERATOR, pa.array([label] * len(keep), pa.string()))


def _unanswered(batch: pa.RecordBatch, layout: Layout) -> pa.RecordBatch:
    """The batch with a placeholder for each answer: a question needs none to get one."""
    if layout.kind is Kind.TEXT:
        return batch
    at = batch.schema.get_field_index(layout.columns[-1])
    return batch.set_column(at, layout.columns[-1], pa.array(["-"] * batch.num_rows, pa.string()))


def _template(writer: Writer, sampling: Sampling) -> str:
    return "{prompt}{answer}" if isinstance(writer.model, EncoderDecoder) else sampling.template


def _prompt(writer: Writer, pieces: Sequence[Piece], layout: Layout, sampling: Sampling) -> I64 | None:
    """The tokens that the model goes on from."""
    if not pieces:
        return None
    ids = writer.encoder.ids(pieces[0].text)
    if isinstance(writer.model, EncoderDecoder):
        return np.append(ids, writer.encoder.end) if layout.kind is Kind.ANSWER else None
    if layout.kind is Kind.TEXT:
        ids = ids[: sampling.prefix]
    whole = np.concatenate([np.array(writer.encoder.start, np.int64), ids])
    return whole if len(whole) else None
