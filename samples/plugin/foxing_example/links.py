"""How many links a text has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detectors.documents import Documents
from detectors.protocols import Device, Measure

__all__ = ["Links"]


@dataclass(frozen=True)
class Links:
    """Occurrences of the schemes, and the same per 100 words; the latter is null in texts without words.

    Attributes:
        schemes: beginnings of addresses that count as a link, matched without regard to case.
    """

    schemes: tuple[str, ...] = ("http://", "https://")

    name: ClassVar[str] = "links"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("count", pa.int32(), metadata={"doc": "Links in the text."}),
            pa.field("per_100_words", pa.float32(), metadata={"doc": "Links per 100 words."}),
        ]
    )

    def __post_init__(self) -> None:
        if not self.schemes or not all(self.schemes):
            raise ValueError(f"schemes = {list(self.schemes)!r} names no scheme. Name one, such as 'https://'.")

    def load(self, device: Device) -> Measure:
        """Nothing to load: runs on the CPU whatever the device."""

        def measure(documents: Documents) -> pa.RecordBatch:
            texts = pc.fill_null(documents.batch.column("text").cast(pa.large_binary()), b"")
            count = np.zeros(len(documents), np.int32)
            for scheme in self.schemes:
                found = pc.count_substring(texts, scheme.encode(), ignore_case=True)
                count += found.to_numpy(zero_copy_only=False).astype(np.int32)
            words = documents.words.counts
            share = (100 * count / np.maximum(words, 1)).astype(np.float32)
            return pa.record_batch([pa.array(count), pa.array(share, mask=words == 0)], schema=self.schema)

        return measure
