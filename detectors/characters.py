"""The characters of a document: their entropy, casing, punctuation, and shares of digits, white space, non-ASCII."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.arrays import float_arrays, weighted_means
from detectors.documents import Documents
from detectors.protocols import Device, Measure

__all__ = ["Characters"]

_FIELDS = {
    "entropy": "Shannon entropy of the document's own characters, in bits a character.",
    "upper_share": "Capital and title-case letters / cased letters; null without cased letters.",
    "capitalised_share": "Words that begin with a capital / words; null without words.",
    "punctuation_share": "Punctuation (Unicode category P) / characters that are not white space.",
    "digit_share": "ASCII digits / characters that are not white space.",
    "space_share": "White space and line breaks / characters.",
    "non_ascii_share": "Characters beyond ASCII / characters.",
}


@dataclass(frozen=True)
class Characters:
    """Rates of characters, float32 (computed in float64), exact over the whole text. Null in texts without characters.

    A character is a code point; each byte outside valid UTF-8 counts as U+FFFD would. `punctuation_share` and
    `digit_share` are null in texts of white space alone. The entropy is that of the text's own distribution
    (Shannon 1948), uncorrected for length. A document of more than 1 MiB is measured in pieces (`detectors.pieces`):
    each field is the mean over the pieces that have it, weighted by their characters.

    Field `characters` is int64: how many there are, the weight of all that is averaged.
    """

    name: ClassVar[str] = "characters"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            pa.field("characters", pa.int64(), metadata={"doc": "Code points; invalid UTF-8 bytes count one each."}),
            *(pa.field(name, pa.float32(), metadata={"doc": doc}) for name, doc in _FIELDS.items()),
        ]
    )

    def load(self, device: Device) -> Measure:
        """Import the kernel. Runs on the CPU whatever the device."""
        from detectors.character_counts import character_tables, count_capitalised, count_characters_of
        from detectors.unicode_classes import class_table, punctuation_table

        tables = character_tables(class_table(), punctuation_table())

        def measure(documents: Documents) -> pa.RecordBatch:
            found = count_characters_of(documents.data, documents.offsets, tables)
            words = documents.words
            capitalised = count_capitalised(words.flags, words.doc_offsets)
            visible = found.characters - found.spaces
            columns = [
                np.where(found.characters > 0, found.entropy, np.nan),
                _share(found.upper, found.upper + found.lower),
                _share(capitalised, words.counts),
                _share(found.punctuation, visible),
                _share(found.digits, visible),
                _share(found.spaces, found.characters),
                _share(found.beyond, found.characters),
            ]
            return _batch(self.schema, found.characters, np.stack(columns))

        return measure

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """Characters added up; of all else the mean over the pieces that have it, weighted by their characters."""
        weights = np.asarray(pieces.column("characters"), np.float64)
        return _batch(self.schema, np.array([int(weights.sum())]), weighted_means(pieces, list(_FIELDS), weights))


def _share(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _batch(
    schema: pa.Schema,
    characters: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
) -> pa.RecordBatch:
    shares = float_arrays(values, np.ones(len(characters), np.bool_))
    return pa.record_batch([pa.array(characters.astype(np.int64)), *shares], schema=schema)
