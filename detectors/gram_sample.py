"""A sample of each document's n-grams, the same ones everywhere, so that unions over any set of rows can be counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.documents import Documents
from detectors.errors import ConfigError
from detectors.protocols import Device, Measure

__all__ = ["GramSample"]

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
_LIST = pa.list_(pa.uint32())


@dataclass(frozen=True)
class GramSample:
    """Which n-grams of the answer fall into a fixed sample of all n-grams there are, one in `one_in` by their hash.

    An n-gram is in the sample or not, whatever document it stands in. So the different n-grams in the samples of some
    rows, times `one_in`, estimate the different n-grams of these rows, of whichever rows one likes, without their text.
    With d of them in the samples its standard error is about d to the power of -1/2, as a share. The sample holds the
    upper 32 bits of hashes: of 10 million different ones about one in a thousand is taken for another. Null in texts of
    fewer than n words. Documents of more than 1 MiB are measured in pieces, and n-grams across a cut are not seen.

    Attributes:
        n: words in an n-gram, 1 to 16.
        one_in: n-grams that one stands for, a power of two, 1 to 65,536.

    Raises:
        ConfigError: a setting outside its range.
    """

    n: int = 3
    one_in: int = 16

    name: ClassVar[str] = "gram_sample"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("response",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("sample", _LIST, metadata={"doc": "Hashes of its different n-grams in the sample, ascending."}),
            pa.field("drawn", pa.int64(), metadata={"doc": "How often these stand in it."}),
            pa.field("grams", pa.int64(), metadata={"doc": "Its n-grams, repeated ones counted again."}),
        ]
    )

    def __post_init__(self) -> None:
        if not 1 <= self.n <= 16:
            raise ConfigError(f"gram_sample: n is {self.n}. Set it to a number from 1 to 16.")
        if not 1 <= self.one_in <= 1 << 16 or self.one_in & (self.one_in - 1):
            raise ConfigError(f"gram_sample: one_in is {self.one_in}. Set it to a power of two from 1 to 65,536.")

    def load(self, device: Device) -> Measure:
        """Import the kernel. Runs on the CPU whatever the device."""
        from detectors.gram_sampling import sampled_grams

        def measure(documents: Documents) -> pa.RecordBatch:
            words = documents.response.words
            found, counts, drawn = sampled_grams(words, self.n, self.one_in)
            return self._batch(found, counts, drawn, np.maximum(words.counts - (self.n - 1), 0))

        return measure

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """All n-grams of the pieces, each once."""
        found = np.unique(np.asarray(pieces.column("sample").flatten()).astype(np.uint32))
        drawn, grams = (
            np.array([sum(count or 0 for count in pieces.column(name).to_pylist())]) for name in ("drawn", "grams")
        )
        return self._batch(found, np.array([len(found)]), drawn, grams)

    def _batch(self, found: U32, counts: I64, drawn: I64, grams: I64) -> pa.RecordBatch:
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        some = grams > 0
        lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(found), mask=pa.array(~some))
        numbers = [pa.array(count.astype(np.int64), mask=~some) for count in (drawn, grams)]
        return pa.record_batch([lists, *numbers], schema=self.schema)
