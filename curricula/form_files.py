"""The form of what is to be forgotten, written beside it: for each file of data/, of every row the bytes that are form.

A model that is to forget a format and not the facts in it is trained on the tokens that share a byte with these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from audit.folders import Folder
from audit.layout import Kind, Layout
from curricula.edit import Editor
from curricula.part_files import Receipt, sha256
from curricula.sections import TEST
from curricula.stored import in_transit, recast
from detectors.documents import Documents, as_large_binary
from detectors.errors import ConfigError
from detectors.template_spans import TEMPLATE_SPANS, template_spans

__all__ = ["FORMS", "MASK", "is_masked", "write_forms"]

MASK = "mask"
FORMS = pa.schema([pa.field("form", TEMPLATE_SPANS)])
"""One row for each row of the file of data/ with the same name: spans of bytes, from `start` up to `stop`.

They count in the UTF-8 of the text, or of the answer where rows are questions and answers (of a list of answers, of
the first). Null where there is none, empty where it has no form.
"""
_ROWS = 4096


@dataclass(frozen=True)
class _Forms:
    """Finds the form of rows of one layout."""

    layout: Layout
    name: str

    def of(self, batch: pa.RecordBatch) -> pa.ListArray:
        """`TEMPLATE_SPANS`[rows]."""
        if self.layout.kind is Kind.ANSWER:
            column = self.layout.columns[-1]
            field = batch.schema.field(column)
            schema = pa.schema([field.with_type(in_transit(field.type))])
            editor = Editor(schema, Layout(Kind.ANSWER, (column,)))
            texts = editor.texts(recast(batch.select([column]), schema))
            return template_spans(Documents(pa.record_batch({"text": as_large_binary(texts)})))
        narrow = batch.select(list(self.layout.columns))
        return template_spans(Documents(self.layout.documents(narrow, self.name)))


def is_masked(path: str, series: str, masked: Sequence[str]) -> bool:
    """Whether the form of a file of data/ is written.

    Args:
        path: of the file.
        series: that it is of.
        masked: parts of the output that are; "" is all of it.
    """
    inner = path.removeprefix("data/").removeprefix(f"{series}/" if series else "")
    part = inner.rpartition("/")[0].removeprefix(f"{TEST}/")
    return "" in masked or part in masked


def write_forms(
    folder: Folder, work: Path, receipts: Sequence[Receipt], layouts: dict[str, Layout]
) -> Iterator[Receipt]:
    """Write the form of files of data/, one by one, each from the file as it was written.

    Args:
        folder: of the output.
        work: folder for unfinished files.
        receipts: of the files.
        layouts: of the rows, by series.

    Yields:
        The receipt of each file of mask/; its sums are 0.

    Raises:
        ConfigError: rows are chats.
    """
    for receipt in receipts:
        layout = layouts[receipt.series]
        if layout.kind is Kind.CHAT:
            raise ConfigError(
                f"curriculum forget-split: the form of chats is not known ({layout}). Set forget-split.mask=false."
            )
        path = f"{MASK}/{receipt.path.removeprefix('data/')}"
        file = work / path.replace("/", "-")
        forms = _Forms(layout, receipt.path)
        with (
            folder.fetched(receipt.path) as data,
            pq.ParquetFile(data, pre_buffer=False) as opened,
            pq.ParquetWriter(file, FORMS, compression="zstd") as writer,
        ):
            for batch in opened.iter_batches(batch_size=_ROWS, columns=list(layout.columns)):
                writer.write_table(pa.Table.from_arrays([forms.of(batch)], schema=FORMS))
        size, digest = file.stat().st_size, sha256(file)
        folder.put(file, path)
        yield replace(receipt, path=path, size_bytes=size, sha256=digest, content=0, order=0)
