"""The size of a document and whether it is valid text: what every other number is read against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.documents import Documents
from detectors.protocols import Device, Measure

__all__ = ["Document"]


@dataclass(frozen=True)
class Document:
    """Bytes, characters, words and validity of each document. Every field is defined for every text, even an empty one.

    Fields: `bytes` int64; `characters` int64, code points, where each byte outside valid UTF-8 counts as one; `words`
    int32, as `detectors.words` segments; `utf8_valid` bool.
    """

    name: ClassVar[str] = "document"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("bytes", pa.int64(), metadata={"doc": "Length of the text in bytes."}),
            pa.field("characters", pa.int64(), metadata={"doc": "Code points; invalid UTF-8 bytes count one each."}),
            pa.field("words", pa.int32(), metadata={"doc": "Words, as foxing segments text."}),
            pa.field("utf8_valid", pa.bool_(), metadata={"doc": "Whether the text is valid UTF-8."}),
        ]
    )

    def load(self, device: Device) -> Measure:
        """Import the kernels. Runs on the CPU whatever the device."""
        from detectors.jit import read_only
        from detectors.segmentation import count_characters

        def measure(documents: Documents) -> pa.RecordBatch:
            valid = documents.utf8_valid
            columns = [
                np.diff(documents.offsets),
                count_characters(read_only(documents.data), read_only(documents.offsets), valid),
                documents.words.counts.astype(np.int32),
                valid,
            ]
            return pa.record_batch([pa.array(c) for c in columns], schema=self.schema)

        return measure

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """Sums over the pieces of a long document; it is valid UTF-8 when every piece is."""
        sums = [
            pc.sum(pieces.column(name)).cast(self.schema.field(name).type) for name in ("bytes", "characters", "words")
        ]
        values = [*sums, pc.all(pieces.column("utf8_valid"))]
        return pa.record_batch([pa.array([value.as_py()], value.type) for value in values], schema=self.schema)
