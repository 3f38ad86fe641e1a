"""Measures a batch with the bundled linear model: margins, languages, abstentions, out-of-support flags."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from detectors.ai_text.calibration import load_reference
from detectors.ai_text.features import STATS, Emission, score
from detectors.ai_text.model import load_model
from detectors.errors import SignalError
from detectors.protocols import Device

if TYPE_CHECKING:
    from detectors.ai_text import AiText
    from detectors.documents import Documents
    from detectors.protocols import Measure

__all__ = ["combined", "effective_length", "enough", "languages", "loaded", "unusual"]

MIN_LETTER_SHARE = 0.6
"""Letters among visible characters; less is mostly digits, tables or symbols. 99.9 % of dated web text has more."""

MAX_CODE_SHARE = 0.06
"""Brackets, operators and the like among visible characters; more is mostly code or markup. 99 % of dated web text has
less."""

MIN_WORDS = 20
"""Fewer words abstain, however long they are; an ideograph is a word."""

_UNKNOWN = "und"
_STANDARD_OF = {"wuu": "zh", "yue": "zh", "ary": "ar", "arz": "ar", "nn": "no"}
"""Short or formal text of a variety often cannot be told from the standard, which is all that the reference has."""


def _column(emission: Emission, name: str) -> npt.NDArray[np.int64]:
    return emission.stats[:, STATS.index(name)]


def effective_length(emission: Emission) -> npt.NDArray[np.int64]:
    """int64[n]: characters, with Han and kana counted threefold and Hangul twofold."""
    weighted: npt.NDArray[np.int64] = _column(emission, "characters") + _column(emission, "extra")
    return weighted


def enough(emission: Emission, min_characters: int) -> npt.NDArray[np.bool_]:
    """bool[n]: long enough to judge."""
    return (effective_length(emission) >= min_characters) & (emission.words >= MIN_WORDS)


def languages(documents: Documents) -> pa.StringArray:
    """Language of each document, from `Documents.languages`, varieties as their standard; `und` where unknown."""
    found = documents.languages
    return _standard(found.names).take(pa.array(found.indices))


@cache
def _standard(names: tuple[str, ...]) -> pa.StringArray:
    return pa.array([_STANDARD_OF.get(name, name) for name in names], pa.string())


def unusual(emission: Emission) -> npt.NDArray[np.bool_]:
    """bool[n]: mostly code, tables, digits or symbols, by simple character shares."""
    visible = np.maximum(_column(emission, "visible"), 1)
    letters, code = _column(emission, "letters") / visible, _column(emission, "code") / visible
    return (letters < MIN_LETTER_SHARE) | (code > MAX_CODE_SHARE)


def loaded(signal: AiText, device: Device) -> Measure:
    """Load model and reference, and return the function that measures a batch with them."""
    if signal.tier != "fast":
        raise SignalError(f'ai_text: no tier {signal.tier!r}. Set tier = "fast".')
    if device is Device.CUDA:
        raise SignalError("ai_text: the fast tier runs on the CPU only. Use --device auto or cpu.")
    model = load_model()
    schema, known = signal.schema, pa.array(load_reference().languages, pa.string())

    def measure(documents: Documents) -> pa.RecordBatch:
        response = documents.response
        emission, language = score(response, model.tables), languages(response)
        abstained = ~enough(emission, signal.min_characters)
        outside = ~np.asarray(pc.is_in(language, known)) | unusual(emission)
        columns = [
            pa.array(model.margins(emission).astype(np.float32), mask=abstained),
            pa.repeat(signal.tier, len(language)),
            language,
            pa.array(_column(emission, "characters").astype(np.int32)),
            pa.array(abstained),
            pa.array(outside),
        ]
        return pa.record_batch(columns, schema=schema)

    return measure


def combined(pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
    """One row for a document that was measured in pieces.

    The margin is the mean over the pieces that have one, weighted by their characters; the language is that of the
    first piece whose language is known; the document abstains if all its pieces do, and is out of support if the larger
    part of its characters is.
    """
    length = np.asarray(pieces["length"], np.float64)
    margin = np.asarray(pieces["margin"].cast(pa.float64()).fill_null(np.nan))
    judged = ~np.asarray(pieces["abstained"])
    weights = length[judged]
    codes = pieces["language"].to_pylist()
    row = {
        "margin": float(np.average(margin[judged], weights=weights)) if judged.any() else None,
        "tier": pieces["tier"][0].as_py(),
        "language": next((code for code in codes if code != _UNKNOWN), _UNKNOWN),
        "length": int(length.sum()),
        "abstained": not judged.any(),
        "out_of_support": bool(2 * length[np.asarray(pieces["out_of_support"])].sum() > length.sum()),
    }
    return pa.RecordBatch.from_pylist([row], schema=pieces.schema)
