"""How machine-like a document reads: a hashed linear model over words, kinds of words and marks, and its limits.

A scan stores raw margins only. `detectors.ai_text.calibration` turns a margin, a language and a length into the
conformal p-value against human text (`p_human`) and a probability at a stated prior (`score`) when findings are read.
Texts are judged as they read: wide letters, look-alikes and invisible characters are undone, see
`detectors.ai_text.disguise`.
MODEL_CARD.md beside this file says what the model was trained on, how well it transfers and what it is not for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import pyarrow as pa

from detectors.errors import ConfigError
from detectors.protocols import Device

if TYPE_CHECKING:
    from detectors.protocols import Measure

__all__ = ["FAST", "AiText"]

FAST = "fast"
"""The tier that is bundled."""


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class AiText:
    """The machine-text detector: the bundled one, or a costlier model that a user names.

    Attributes:
        tier: `fast`, the bundled model; `encoder`, a folder that `foxing train-detector` or
            `python -m curricula.train_frozen` wrote; or `custom`, any classifier or language model.
        min_characters: shorter texts abstain. Han and kana count threefold and Hangul twofold, as they say more each.
        model: of the other tiers: folder, file or hub id.
        observer: the same of the second model of `binoculars`.
        method: of `custom`: `classifier`, or a zero-shot method (`detectors.ai_text.zero_shot`).
        machine_label: label of a classifier that means machine-written; "" guesses by the names.
        max_tokens: of a window of these models; 0 takes what the model takes, 512 at most.
        precision: `auto`, `float32`, `bfloat16`, `float16` or `int8`.
        model_digest: of what `model` and `observer` hold. `pinned` fills it in.

    Raises:
        ConfigError: `min_characters` is negative.
    """

    tier: str = "fast"
    min_characters: int = 250
    model: str = field(default="", metadata={"location": True})
    observer: str = field(default="", metadata={"location": True})
    method: str = "classifier"
    machine_label: str = ""
    max_tokens: int = 0
    precision: str = "auto"
    model_digest: str = ""

    name: ClassVar[str] = "ai_text"
    version: ClassVar[int] = 4
    reads: ClassVar[tuple[str, ...]] = ("response",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("margin", pa.float32(), "Raw margin, higher is more machine-like; null where abstained."),
            _field("tier", pa.string(), "Model that gave the margin."),
            _field(
                "language", pa.string(), "Language of the text, varieties as their standard language; 'und' if unknown."
            ),
            _field("length", pa.int32(), "Characters of the text that was judged, as it reads."),
            _field("abstained", pa.bool_(), "True where the text is too short or has too few words to judge."),
            _field(
                "out_of_support",
                pa.bool_(),
                "True where the language was never calibrated, or the text is mostly code, tables, digits or symbols.",
            ),
            _field(
                "windows",
                pa.list_(pa.float32()),
                "Raw margins of runs of 2 to 4 KiB of equal size, in order; null where there is but one, or no margin.",
            ),
            _field(
                "style",
                pa.list_(pa.float32()),
                "Five numbers of style, see `detectors.ai_text.adjustment.STYLE`; null where abstained.",
            ),
        ]
    )

    def __post_init__(self) -> None:
        if self.min_characters < 0:
            raise ConfigError(f"ai_text: min_characters is {self.min_characters}. Set it to 0 or more.")

    def pinned(self) -> Self:
        """The same settings with the digest of the model that is named. To be done before a scan.

        Raises:
            SignalError: it cannot be found, or is not the one that `model_digest` says.
        """
        if self.tier == FAST:
            return self
        from detectors.ai_text.tiers import pinned_digest

        return replace(self, model_digest=pinned_digest(self))

    def load(self, device: Device) -> Measure:
        """Read and verify the model files. The fast tier runs on the CPU, whatever the device.

        Raises:
            SignalError: an unknown tier, a device that this tier cannot use, or model files that fail their checksum.
            MissingExtraError: what a costlier tier needs is not installed.
        """
        from detectors.ai_text.fast import loaded

        if self.tier == FAST:
            return loaded(self, device)
        from detectors.ai_text.tiers import load_judge, measured_by

        # Language, length, style and whether to abstain are always those of the bundled tier.
        bundled = replace(self, tier=FAST)
        return measured_by(load_judge(self, device), loaded(bundled, Device.CPU))

    def combine(self, pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
        """Mean margin over the pieces of a long document, weighted by their characters; lengths added up."""
        from detectors.ai_text.fast import combined

        return combined(pieces, starts)
