"""How machine-like a document reads: a hashed linear model over words, characters and marks, and its limits.

A scan stores raw margins only. `detectors.ai_text.calibration` turns a margin, a language and a length into the
conformal p-value against human text (`p_human`) and a probability at a stated prior (`score`) when findings are read.
MODEL_CARD.md beside this file says what the model was trained on, how well it transfers and what it is not for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

if TYPE_CHECKING:
    from detectors.protocols import Device, Measure

__all__ = ["AiText"]


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class AiText:
    """The bundled machine-text detector.

    Attributes:
        tier: which model to use; `"fast"` is the one that is bundled.
        min_characters: shorter texts abstain. Han and kana count threefold and Hangul twofold, as they say more each.
    """

    tier: str = "fast"
    min_characters: int = 250

    name: ClassVar[str] = "ai_text"
    version: ClassVar[int] = 2
    reads: ClassVar[tuple[str, ...]] = ("response",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("margin", pa.float32(), "Raw margin, higher is more machine-like; null where abstained."),
            _field("tier", pa.string(), "Model that gave the margin."),
            _field(
                "language", pa.string(), "Language of the text, varieties as their standard language; 'und' if unknown."
            ),
            _field("length", pa.int32(), "Characters of the text that was judged."),
            _field("abstained", pa.bool_(), "True where the text is too short or has too few words to judge."),
            _field(
                "out_of_support",
                pa.bool_(),
                "True where the language was never calibrated, or the text is mostly code, tables, digits or symbols.",
            ),
        ]
    )

    def load(self, device: Device) -> Measure:
        """Read and verify the model files. The fast tier runs on the CPU, whatever the device.

        Raises:
            SignalError: an unknown tier, a device that this tier cannot use, or model files that fail their checksum.
        """
        from detectors.ai_text.fast import loaded

        return loaded(self, device)

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """Mean margin over the pieces of a long document, weighted by their characters; lengths added up."""
        from detectors.ai_text.fast import combined

        return combined(pieces, starts)
