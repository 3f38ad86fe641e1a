"""Plain text: a file is a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from audit.readers import sequential
from audit.readers.protocol import ShardError
from audit.readers.sequential import Sequential

__all__ = ["TextReader"]


class TextReader(Sequential):
    """A plain text file: one document, with the file's path beside it."""

    def schema(self) -> pa.Schema:
        """`path` and `text`; text is binary so that bytes are kept whatever they are."""
        return pa.schema([("path", pa.string()), ("text", pa.large_binary())])

    def _stream(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        with self._bytes() as raw:
            text = raw.read(sequential.LONGEST_BYTES + 1 if self._is_compressed else -1)
            if self._is_compressed and len(text) > sequential.LONGEST_BYTES:
                limit = f"unpacks to more than {sequential.LONGEST_BYTES >> 20} MB"
                raise ShardError(self.uri, limit, "Cut it, or unpack it first.")
            batch = pa.record_batch([[self.uri], [text]], schema=self.schema())
        yield batch
