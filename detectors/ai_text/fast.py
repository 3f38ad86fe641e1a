"""Measures a batch with the bundled linear model: margins, languages, abstentions, out-of-support flags."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.ai_text.calibration import load_reference
from detectors.ai_text.disguise import undisguised
from detectors.ai_text.features import STATS, Scores, score
from detectors.ai_text.model import load_model
from detectors.ai_text.style import style
from detectors.errors import SignalError
from detectors.protocols import Device

if TYPE_CHECKING:
    from detectors.ai_text import AiText
    from detectors.documents import Documents
    from detectors.protocols import Measure

__all__ = ["combined", "effective_length", "enough", "languages", "loaded", "unusual", "window_lists"]

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


def _column(scores: Scores, name: str) -> npt.NDArray[np.int64]:
    return scores.stats[:, STATS.index(name)]


def effective_length(scores: Scores) -> npt.NDArray[np.int64]:
    """int64[n]: characters, with Han and kana counted threefold and Hangul twofold."""
    weighted: npt.NDArray[np.int64] = _column(scores, "characters") + _column(scores, "extra")
    return weighted


def enough(scores: Scores, min_characters: int) -> npt.NDArray[np.bool_]:
    """bool[n]: long enough to judge."""
    return (effective_length(scores) >= min_characters) & (scores.words >= MIN_WORDS)


def languages(documents: Documents) -> pa.StringArray:
    """Language of each document, from `Documents.languages`, varieties as their standard; `und` where unknown."""
    found = documents.languages
    return _standard(found.names).take(pa.array(found.indices))


@cache
def _standard(names: tuple[str, ...]) -> pa.StringArray:
    return pa.array([_STANDARD_OF.get(name, name) for name in names], pa.string())


def unusual(scores: Scores) -> npt.NDArray[np.bool_]:
    """bool[n]: mostly code, tables, digits or symbols, by simple character shares."""
    visible = np.maximum(_column(scores, "visible"), 1)
    letters, code = _column(scores, "letters") / visible, _column(scores, "code") / visible
    return (letters < MIN_LETTER_SHARE) | (code > MAX_CODE_SHARE)


def window_lists(
    margins: npt.NDArray[np.float64], firsts: npt.NDArray[np.int64], abstained: npt.NDArray[np.bool_]
) -> pa.ListArray:
    """list<float32>[n]: margins of the windows of each document; null where there is one window, or no margin."""
    null = abstained | (np.diff(firsts) == 1)
    sizes = np.where(null, 0, np.diff(firsts))
    kept = np.repeat(~null, np.diff(firsts))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]).astype(np.int32)
    values = pa.array(margins[kept].astype(np.float32))
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(null))


def _lists(values: npt.NDArray[np.float32], null: npt.NDArray[np.bool_]) -> pa.ListArray:
    """list<float32>[n] of the rows of a matrix."""
    kept = values[~null]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(~null)]) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(kept.ravel()), mask=pa.array(null))


def loaded(signal: AiText, device: Device) -> Measure:
    """Load model and reference, and return the function that measures a batch with them."""
    if signal.tier != "fast":
        raise SignalError(f'ai_text: no tier {signal.tier!r}. Set tier = "fast".')
    if device is Device.CUDA:
        raise SignalError("ai_text: the fast tier runs on the CPU only. Use --device auto or cpu.")
    model = load_model()
    schema, reference = signal.schema, load_reference()

    def judged(texts: Documents) -> pa.RecordBatch:
        scores, language = score(texts, model.tables), languages(texts)
        abstained = ~enough(scores, signal.min_characters)
        characters = _column(scores, "characters")
        found = style(texts, characters)
        outside = reference.unlike(np.asarray(language), found) | unusual(scores)
        columns = [
            pa.array(model.margins(scores.sums).astype(np.float32), mask=abstained),
            pa.repeat(signal.tier, len(language)),
            language,
            pa.array(characters.astype(np.int32)),
            pa.array(abstained),
            pa.array(outside),
            window_lists(model.margins(scores.windows), scores.firsts, abstained),
            _lists(found, abstained),
        ]
        return pa.record_batch(columns, schema=schema)

    def measure(documents: Documents) -> pa.RecordBatch:
        texts = documents.response
        found, altered = judged(texts), undisguised(texts)
        # Few documents are disguised, so the views that all signals share are of the text as it stands.
        return found if altered is None else _replaced(found, altered.rows, judged(altered.documents))

    return measure


def _replaced(batch: pa.RecordBatch, rows: npt.NDArray[np.int64], other: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the rows of another in place of its rows `rows`."""
    at = np.arange(batch.num_rows)
    at[rows] = batch.num_rows + np.arange(len(rows))
    return pa.Table.from_batches([batch, other]).take(pa.array(at)).combine_chunks().to_batches()[0]


def combined(pieces: pa.RecordBatch, starts: Sequence[int]) -> pa.RecordBatch:
    """One row for a document that was measured in pieces.

    The margin is the mean over the pieces that have one, weighted by their characters; the language is that of the
    first piece whose language is known; the document abstains if all its pieces do, and is out of support if the larger
    part of its characters is. Its windows are those of the pieces that have a margin, in order.
    """
    length = np.asarray(pieces["length"], np.float64)
    margin = np.asarray(pieces["margin"].cast(pa.float64()).fill_null(np.nan))
    judged = ~np.asarray(pieces["abstained"])
    weights = length[judged]
    codes = pieces["language"].to_pylist()
    alone = pieces["margin"].to_pylist()
    windows = [
        value
        for own, values in zip(alone, pieces["windows"].to_pylist(), strict=True)
        if own is not None
        for value in (values or [own])
    ]
    styles = [values for values in pieces["style"].to_pylist() if values is not None]
    row = {
        "margin": float(np.average(margin[judged], weights=weights)) if judged.any() else None,
        "tier": pieces["tier"][0].as_py(),
        "language": next((code for code in codes if code != _UNKNOWN), _UNKNOWN),
        "length": int(length.sum()),
        "abstained": not judged.any(),
        "out_of_support": bool(2 * length[np.asarray(pieces["out_of_support"])].sum() > length.sum()),
        "windows": windows if len(windows) > 1 else None,
        "style": None if not judged.any() else np.average(styles, axis=0, weights=weights).astype(np.float32).tolist(),
    }
    return pa.RecordBatch.from_pylist([row], schema=pieces.schema)
