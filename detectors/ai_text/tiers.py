"""The costlier tiers of the machine-text detector: which model stands behind one, its digest, and its measure.

Length, language, abstention, support and style are those of the fast tier, so that tiers differ in nothing but the
margin. The `tier` column names what gave a margin, as `encoder:1a2b3c4d:int8` or `custom:binoculars:1a2b3c4d:float32`;
the digits stand for model and settings. Margins of different names are on different scales, and a calibration belongs
to one name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from detectors.errors import SignalError
from detectors.hub import digest_of, located
from detectors.protocols import Device

if TYPE_CHECKING:
    from detectors.ai_text.windows import Margins
    from detectors.documents import Documents
    from detectors.protocols import Measure

__all__ = ["TIERS", "HasModel", "Judge", "load_judge", "measured_by", "pinned_digest"]

TIERS = ("encoder", "custom")
"""Tiers that a user names a model for."""
CLASSIFIER = "classifier"
_SHORT = 8
_LEAST_TOKENS = 8


class HasModel(Protocol):
    """Settings that name the model behind a costlier tier.

    Attributes:
        tier: `encoder` or `custom`.
        model: folder, file or hub id.
        observer: the same of a second model, for zero-shot methods of two.
        method: `classifier`, or a zero-shot method of `detectors.ai_text.zero_shot`.
        machine_label: label of a classifier that means machine-written; empty guesses by the names.
        max_tokens: of a window; 0 takes what the model takes, 512 at most.
        precision: `auto`, `float32`, `bfloat16`, `float16` or `int8`.
        model_digest: of what `model` and `observer` hold; empty is not known yet.
    """

    @property
    def tier(self) -> str: ...  # noqa: D102 - described above

    @property
    def model(self) -> str: ...  # noqa: D102

    @property
    def observer(self) -> str: ...  # noqa: D102

    @property
    def method(self) -> str: ...  # noqa: D102

    @property
    def machine_label(self) -> str: ...  # noqa: D102

    @property
    def max_tokens(self) -> int: ...  # noqa: D102

    @property
    def precision(self) -> str: ...  # noqa: D102

    @property
    def model_digest(self) -> str: ...  # noqa: D102

    def __hash__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Judge:
    """A loaded model.

    Attributes:
        name: for the `tier` column.
        margins: judges texts.
    """

    name: str
    margins: Callable[[Sequence[str]], Margins]


def pinned_digest(settings: HasModel) -> str:
    """Digest of the model that settings name, as it is now; fetches one that is on the hub.

    Raises:
        SignalError: no model is named, it cannot be found, or it is not the one that `model_digest` says.
    """
    _check(settings)
    found = _digest(settings)
    if settings.model_digest not in ("", found):
        raise SignalError(
            f"ai_text: {settings.model} has digest {found[:12]}, not {settings.model_digest[:12]}. "
            "Scan with the model that was meant, or leave model_digest out."
        )
    return found


def load_judge(settings: HasModel, device: Device) -> Judge:
    """Load the model that settings name.

    Raises:
        SignalError: no model is named, it is not one, or its device is absent. MissingExtraError: torch and the like.
    """
    _check(settings)
    scale = _scale(settings, settings.model_digest or _digest(settings))
    folder = _head_folder(settings)
    if folder is not None:
        from detectors.ai_text.frozen import load_frozen

        head = load_frozen(folder, device, precision=settings.precision, max_tokens=settings.max_tokens)
        return Judge(f"{settings.tier}:{scale}:{head.precision}", head.margins)
    if settings.method != CLASSIFIER:
        from detectors.ai_text.zero_shot import load_zero_shot

        shot = load_zero_shot(
            settings.method,
            settings.model,
            settings.observer,
            device,
            precision=settings.precision,
            max_tokens=settings.max_tokens,
        )
        return Judge(f"{settings.tier}:{settings.method}:{scale}:{shot.precision}", shot.margins)
    from detectors.ai_text.encoder import Wanted, load_classifier, load_detector

    wanted = Wanted(device, settings.precision, settings.max_tokens, settings.machine_label, "model")
    path = located(settings.model, "model")
    found = load_detector(path, wanted) if settings.tier == "encoder" else load_classifier(path, wanted)
    name = settings.tier if settings.tier == "encoder" else f"{settings.tier}:{CLASSIFIER}"
    return Judge(f"{name}:{scale}:{found.precision}", found.margins)


def measured_by(judge: Judge, fast: Measure) -> Measure:
    """The fast tier's measure with the margins, windows and tier name of `judge`.

    Texts that the fast tier abstains from are not judged; a text that the judge has no margin for abstains.
    """

    from detectors.ai_text.disguise import as_read

    def measure(documents: Documents) -> pa.RecordBatch:
        found = fast(documents)
        abstained = np.asarray(found["abstained"].fill_null(True))
        rows = np.flatnonzero(~abstained)
        texts = as_read(documents.response).texts()
        margins = judge.margins([texts[row] or "" for row in rows])
        document = np.full(len(found), np.nan)
        document[rows] = margins.document
        columns = {
            "margin": pa.array(document.astype(np.float32), mask=np.isnan(document)),
            "tier": pa.repeat(judge.name, len(found)),
            "abstained": pa.array(np.isnan(document)),
            "windows": _spread(margins.windows, rows, len(found)),
        }
        arrays = [columns.get(field.name, found[field.name]) for field in found.schema]
        return pa.record_batch(arrays, schema=found.schema)

    return measure


def _spread(values: pa.ListArray, rows: np.ndarray, size: int) -> pa.ListArray:
    """`values` at `rows` of a column of `size`, null elsewhere."""
    at = np.full(size, len(values))
    at[rows] = np.arange(len(rows))
    return values.take(pa.array(at, mask=at == len(values)))


def _check(settings: HasModel) -> None:
    if settings.tier == "cascade":
        raise SignalError(
            'ai_text: the cascade is a stage over the fast tier. Set tier = "fast", and "cascade" in stages, '
            "or scan with --ai-tier cascade."
        )
    if settings.tier not in TIERS:
        raise SignalError(f"ai_text: no tier {settings.tier!r}. Set tier to fast, {', '.join(TIERS)} or cascade.")
    if not settings.model:
        remedy = 'Set model = "DIR" in [tool.foxing.signal.ai_text], or pass --ai-model DIR'
        kind = "a folder that foxing train-detector wrote" if settings.tier == "encoder" else "a folder, file or hub id"
        raise SignalError(f"ai_text: the {settings.tier} tier needs a model, and none is bundled. {remedy} ({kind}).")
    if settings.max_tokens and settings.max_tokens < _LEAST_TOKENS:
        raise SignalError(f"ai_text: max_tokens is {settings.max_tokens}. Set it to 0, or {_LEAST_TOKENS} or more.")
    if settings.tier == "encoder" and settings.method != CLASSIFIER:
        raise SignalError(f'ai_text: method {settings.method!r} is not for the encoder tier. Set tier = "custom".')


def _head_folder(settings: HasModel) -> Path | None:
    """The folder that is named, where it holds a head over a frozen language model."""
    from detectors.ai_text.frozen import is_head

    if settings.tier != "encoder":
        return None
    folder = located(settings.model, "model")
    return folder if is_head(folder) else None


def _scale(settings: HasModel, digest: str) -> str:
    """Eight digits for what margins depend on: the model, and settings other than the usual ones."""
    unusual = [str(value) for value in (settings.machine_label, settings.max_tokens) if value]
    return (hashlib.sha256(" ".join([digest, *unusual]).encode()).hexdigest() if unusual else digest)[:_SHORT]


def _digest(settings: HasModel) -> str:
    folder = _head_folder(settings)
    if folder is not None:
        from detectors.ai_text.frozen import digest_of_head

        return digest_of_head(folder)
    path = located(settings.model, "model")
    one = _stored(path)
    if not settings.observer:
        return one
    return hashlib.sha256(f"{one} {_stored(located(settings.observer, 'observer'))}".encode()).hexdigest()


def _stored(path: Path) -> str:
    """A folder of ours is what its record says: that has the digest of each file, which loading checks."""
    from detectors.ai_text.detector_folder import DETECTOR_FILE, is_detector

    return digest_of(path / DETECTOR_FILE) if path.is_dir() and is_detector(path) else digest_of(path)
