"""The form of a document without its content: skeleton, first and last words, lists, headings, questions, answers."""

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

__all__ = ["FormatUniformity"]

_HASHES = {
    "skeleton": "Hash of how the text begins with content masked (detectors.skeletons); null without words.",
    "opening": "Hash of the first words with content masked; null without words.",
    "closing": "Hash of the last words with content masked; null without words.",
    "content": "Hash of all words in order: equal texts have equal ones; null without words.",
}
_COUNTS = {
    "lines": "Lines that are not empty.",
    "bullet_lines": "Of them items of a list without numbers.",
    "number_lines": "Of them items of a numbered list.",
    "heading_lines": "Of them headings of Markdown (#).",
    "table_lines": "Of them rows of a Markdown table.",
    "code_lines": "Of them in fenced code, fences too.",
    "bold_lines": "Of them beginning in bold face (** or __), after the mark of an item.",
    "label_lines": "Of them beginning with one or two words and a colon, such as Q: or Final answer:.",
    "question_lines": "Of them ending in a question mark.",
    "answered_questions": "Of these followed by a line that does not ask.",
    "sentences": "Sentences.",
    "words": "Words.",
}


@dataclass(frozen=True)
class FormatUniformity:
    """What a document looks like, whatever it says; over the response where rows have one.

    One document is never uniform: what many share is counted over the corpus (`audit.templates`,
    `audit.format_profile`). The diagnosis is that of Chen et al. 2024, Unveiling the Flaws (arXiv:2406.12397): training
    on answers of one form makes a model fit the form. Hashes depend on nothing but the text and these settings; for
    what they are made of see `detectors.skeletons`, for words and sentences `detectors.words`. Counts are int32 and
    given for every text. A document of more than 1 MiB is measured in pieces: counts are added up (a line that is cut
    counts twice), skeleton and opening are those of the first piece with words, closing that of the last, and content
    is made of the contents of the pieces.

    Args:
        elements: lines, lists, tables or blocks of code from the start that make up the skeleton.
        tokens: tokens of each that count.
        edge_words: words at either end that make up opening and closing.

    Raises:
        ConfigError: a setting outside its range.
    """

    elements: int = 2
    tokens: int = 8
    edge_words: int = 4

    name: ClassVar[str] = "format"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("response",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            *(pa.field(name, pa.uint64(), metadata={"doc": doc}) for name, doc in _HASHES.items()),
            *(pa.field(name, pa.int32(), metadata={"doc": doc}) for name, doc in _COUNTS.items()),
        ]
    )

    def __post_init__(self) -> None:
        for setting, most in (("elements", 64), ("tokens", 256), ("edge_words", 64)):
            value = getattr(self, setting)
            if not 1 <= value <= most:
                raise ConfigError(f"format: {setting} is {value}. Set it to a number from 1 to {most}.")

    def load(self, device: Device) -> Measure:
        """Import the kernels. Runs on the CPU whatever the device."""
        from detectors.growth import document_hashes
        from detectors.skeletons import Shape, forms

        shape = Shape(self.elements, self.tokens, self.edge_words)

        def measure(documents: Documents) -> pa.RecordBatch:
            answers = documents.response
            words = answers.words
            found = forms(answers, shape)
            hashes = np.concatenate([found.hashes, document_hashes(words)[None]])
            sentences = np.diff(words.sentence_offsets).astype(np.int32)
            return self._batch(hashes, [*found.counts, sentences, words.counts.astype(np.int32)], words.counts > 0)

        return measure

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """One finding for a document measured in pieces; see the class."""
        from detectors.content_hash import content_hashes

        hashes = np.zeros((len(_HASHES), 1), np.uint64)
        for at, name in enumerate(_HASHES):
            known = np.asarray(pieces.column(name).drop_null())
            if len(known):
                hashes[at] = known[-1] if name == "closing" else known[0]
        contents = np.asarray(pieces.column("content").drop_null())
        if len(contents):
            hashes[-1] = content_hashes(contents.astype("<u8").view(np.uint8), np.array([0, 8 * len(contents)]))
        counts = [np.asarray(pieces.column(name)).sum(keepdims=True).astype(np.int32) for name in _COUNTS]
        return self._batch(hashes, counts, np.array([len(contents) > 0]))

    def _batch(
        self,
        hashes: npt.NDArray[np.uint64],
        counts: Sequence[npt.NDArray[np.int32]],
        defined: npt.NDArray[np.bool_],
    ) -> pa.RecordBatch:
        columns = [pa.array(column, mask=~defined) for column in hashes]
        return pa.record_batch([*columns, *map(pa.array, counts)], schema=self.schema)
