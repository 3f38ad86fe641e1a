"""Measures a batch with the bundled linear model: margins, languages, abstentions, out-of-support flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.ai_text.calibration import load_reference
from detectors.ai_text.features import SCRIPTS, STATS, Emission, score
from detectors.ai_text.language import guess
from detectors.ai_text.model import load_model
from detectors.errors import SignalError
from detectors.protocols import Device

if TYPE_CHECKING:
    from detectors.ai_text import AiText
    from detectors.documents import Documents
    from detectors.protocols import Measure

__all__ = ["effective_length", "enough", "languages", "loaded", "unusual"]

MIN_LETTER_SHARE = 0.6
"""Letters among visible characters; less is mostly digits, tables or symbols. 99.9 % of dated web text has more."""

MAX_CODE_SHARE = 0.06
"""Brackets, operators and the like among visible characters; more is mostly code or markup. 99 % of dated web text has
less."""

MIN_WORDS = 20
"""Fewer words abstain, however long they are; an ideograph is a word."""

_HEAVY = {"han": 3.0, "kana": 3.0, "hangul": 2.0}


def _column(emission: Emission, name: str) -> npt.NDArray[np.float64]:
    return emission.stats[:, STATS.index(name)]


def effective_length(emission: Emission) -> npt.NDArray[np.float64]:
    """float64[n]: characters, with Han and kana counted threefold and Hangul twofold."""
    extra = np.array([_HEAVY.get(name, 1.0) - 1.0 for name in SCRIPTS])
    weighted: npt.NDArray[np.float64] = _column(emission, "characters") + emission.scripts @ extra
    return weighted


def enough(emission: Emission, min_characters: int) -> npt.NDArray[np.bool_]:
    """bool[n]: long enough to judge."""
    return (effective_length(emission) >= min_characters) & (_column(emission, "words") >= MIN_WORDS)


def languages(emission: Emission) -> npt.NDArray[np.str_]:
    """Language guess of each document, see `detectors.ai_text.language`."""
    return guess(emission.votes, emission.scripts, SCRIPTS, _column(emission, "words"))


def unusual(emission: Emission) -> npt.NDArray[np.bool_]:
    """bool[n]: mostly code, tables, digits or symbols, by simple character shares."""
    visible = np.maximum(_column(emission, "visible"), 1.0)
    letters, code = _column(emission, "letters") / visible, _column(emission, "codeish") / visible
    return (letters < MIN_LETTER_SHARE) | (code > MAX_CODE_SHARE)


def loaded(signal: AiText, device: Device) -> Measure:
    """Load model and reference, and return the function that measures a batch with them."""
    if signal.tier != "fast":
        raise SignalError(f'ai_text: no tier {signal.tier!r}. Set tier = "fast".')
    if device is Device.CUDA:
        raise SignalError("ai_text: the fast tier runs on the CPU only. Use --device auto or cpu.")
    model, reference = load_model(), load_reference()
    schema, known = signal.schema, np.array(reference.languages)

    def measure(documents: Documents) -> pa.RecordBatch:
        response = documents.response
        emission = score(response.data, response.offsets, model.tables)
        margin, language = model.margins(emission), languages(emission)
        length = _column(emission, "characters").astype(np.int32)
        abstained = ~enough(emission, signal.min_characters)
        outside = ~np.isin(language, known) | unusual(emission)
        columns = [
            pa.array(margin.astype(np.float32), pa.float32(), mask=abstained),
            pa.array([signal.tier] * len(length), pa.string()),
            pa.array(language.tolist(), pa.string()),
            pa.array(length),
            pa.array(abstained),
            pa.array(outside),
        ]
        return pa.record_batch(columns, schema=schema)

    return measure
