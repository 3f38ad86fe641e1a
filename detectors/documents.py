"""A batch of documents and the views over it that signals share: bytes, words, the answering part."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from detectors.language import Languages
    from detectors.words import Words

__all__ = ["Documents", "as_large_binary"]


def as_large_binary(column: pa.Array) -> pa.LargeBinaryArray:
    """Return any Arrow text column (string, large_string, string_view, binary, dictionary of those) as large_binary.

    Bytes are passed through unvalidated: invalid UTF-8 is a fault of one row, to be counted, not of the batch.

    Raises:
        TypeError: when the column does not hold text.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.large_binary())
    if kind == pa.string_view() or kind == pa.binary_view():
        column = column.cast(pa.large_binary() if kind == pa.binary_view() else pa.large_string())
    elif not (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    ):
        raise TypeError(f"{kind} does not hold text")
    return column.cast(pa.large_binary())


class Documents:
    """Documents of one batch, zero-copy over Arrow buffers.

    Args:
        batch: holds a `text` column of any Arrow text type (whole row as prose), optionally a `response` column
            (the part an author answered with, in question-answer, instruction and chat layouts), and any raw
            columns that signals asked for.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch
        self._text = as_large_binary(batch.column("text"))

    @classmethod
    def from_texts(cls, texts: list[str | bytes | None]) -> Documents:
        """Make a batch from Python strings (tests, notebooks)."""
        raw = [t.encode("utf-8", "surrogatepass") if isinstance(t, str) else t for t in texts]
        return cls(pa.record_batch({"text": pa.array(raw, pa.large_binary())}))

    def __len__(self) -> int:
        return len(self._text)

    def slice(self, start: int, length: int) -> Documents:
        """Rows `[start, start + length)`, sharing the same buffers."""
        return Documents(self.batch.slice(start, length))

    @cached_property
    def valid(self) -> npt.NDArray[np.bool_]:
        """bool[n]: True where the text is not null."""
        return np.asarray(self._text.is_valid())

    @cached_property
    def _filled(self) -> pa.LargeBinaryArray:
        # A null slot may span garbage bytes, so nulls become empty documents before anything looks at offsets.
        return pc.fill_null(self._text, b"") if self._text.null_count else self._text

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """int64[n + 1]: byte span of document i in `data` is `[offsets[i], offsets[i + 1])`. Empty where null."""
        array = self._filled
        if len(array) == 0:
            return np.zeros(1, np.int64)
        buffer = array.buffers()[1]
        return np.frombuffer(buffer, np.int64, count=len(array) + 1, offset=8 * array.offset)

    @cached_property
    def data(self) -> npt.NDArray[np.uint8]:
        """uint8[...]: the value buffer that `offsets` points into (shared with the parent of a slice)."""
        buffer = self._filled.buffers()[2]
        return np.zeros(0, np.uint8) if buffer is None else np.frombuffer(buffer, np.uint8)

    @cached_property
    def utf8_valid(self) -> npt.NDArray[np.bool_]:
        """bool[n]: True where the text is valid UTF-8 (null counts as valid)."""
        text = self._filled
        try:
            text.view(pa.large_string()).validate(full=True)
        except pa.ArrowInvalid:
            return np.fromiter((_decodes(value.as_buffer()) for value in text), np.bool_, count=len(text))
        return np.ones(len(text), np.bool_)

    @cached_property
    def words(self) -> Words:
        """Words of every document: spans, hashes, sentences (see `detectors.words`)."""
        from detectors.words import segment

        return segment(self.data, self.offsets)

    @cached_property
    def languages(self) -> Languages:
        """Language and script of every document, from its first part (see `detectors.language`)."""
        from detectors.language import identify

        return identify(self)

    @property
    def response(self) -> Documents:
        """The answering part of each row as documents of its own; this very batch in plain-text layouts."""
        # Caching `self` would make a cycle, and batches of text would wait for the garbage collector.
        return self._answers if "response" in self.batch.schema.names else self

    @cached_property
    def _answers(self) -> Documents:
        return Documents(pa.record_batch({"text": self.batch.column("response")}))

    def texts(self) -> list[str | None]:
        """Python strings, invalid UTF-8 replaced. For slow paths and messages, never for a hot one."""
        return [None if v is None else v.decode("utf-8", "replace") for v in self._text.to_pylist()]


def _decodes(buffer: pa.Buffer) -> bool:
    try:
        str(memoryview(buffer), "utf-8")
    except UnicodeDecodeError:
        return False
    return True
