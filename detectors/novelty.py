"""How new a text is to a language model, where nobody has a question to ask: surprisal, Min-K%++, bits per byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.protocols import Device, Measure
from detectors.surprisal import Surprisal, summary
from detectors.tokens import Batching, equal_spans

if TYPE_CHECKING:
    from detectors.language_model import LanguageModel, Scores
    from detectors.tokens import Tokens

__all__ = ["MOST_CHARACTERS", "Novelty", "Piece", "windows"]

Ids = npt.NDArray[np.int64]
MOST_CHARACTERS = 1 << 20
"""Longer texts are read up to here: laying out tokens of a book takes memory, and most of them are not scored."""
_GPU_TOKENS = 16_384
_STEP = 64
_DECIMALS = 4
_LEAST_WINDOW = 16


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class Novelty:
    """Advisory: how new a text is to a causal language model. Higher surprisal and bits per byte are newer to it.

    No field says whether the model was trained on a text. Where a model saw a text once in pretraining, such scores
    tell seen from unseen barely better than chance (Duan et al. 2024, arXiv 2402.07841); language, topic, layout and
    age of a text move them more. They compare like with like: sources of one language and kind under one model. No
    rule reads them, and none should drop a row.

    At most `max_tokens` of a text are scored, in windows of `window` tokens that lie evenly over it; each window is
    read on its own, so the first tokens of a window have little context and cost more bits than the rest. The first
    token of a window is scored only where the model has a mark that begins a text. A text of more than 2^20 characters
    is read up to there. All fields are null where no token could be scored.

    Attributes:
        model: folder, GGUF file or hub id of a causal language model.
        max_tokens: tokens of a text that go through the model at most, without the model's marks.
        window: tokens of a window at most; less where the model takes less.
        share: of the tokens that Min-K% and Min-K%++ look at; 0.2 in the papers.
        threshold: bits above which a token counts as surprising; 10 bits are a probability of 1 in 1,024.
        precision: of the weights.
        batch_tokens: tokens that go through the model together, padding included, in batches of fixed shape; 0 takes
            each window alone on a CPU, where numbers are then the same to the last bit, and 16,384 tokens on a GPU.
        model_digest: of the model's files. `pinned` fills it in.

    Raises:
        ConfigError: a setting outside its range.
    """

    model: str = field(default="", metadata={"location": True})
    max_tokens: int = 2048
    window: int = 512
    share: float = 0.2
    threshold: float = 10.0
    precision: str = "float32"
    batch_tokens: int = 0
    model_digest: str = ""

    name: ClassVar[str] = "novelty"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("tokens", pa.int32(), "Tokens that were scored."),
            _field("covered", pa.float32(), "Of the tokens of the text, the share that was scored; over 0 to 1."),
            _field("surprisal", pa.float32(), "Advisory. Mean surprisal, -log2 p; bits a token."),
            _field("surprisal_p95", pa.float32(), "Advisory. 95th percentile of surprisal; bits."),
            _field("surprising", pa.float32(), "Advisory. Share of tokens of more bits than `threshold`; 0 to 1."),
            _field("min_k", pa.float32(), "Advisory. Min-K%: mean log2 p of the least probable `share` of tokens."),
            _field("min_k_plus", pa.float32(), "Advisory. Min-K%++: mean of the lowest `share` of standardised log p."),
            _field("bits_per_byte", pa.float32(), "Advisory. Surprisal of the scored tokens over their UTF-8 bytes."),
            _field("zlib_ratio", pa.float32(), "Advisory. Their bits over those of zlib (level 6) for the same bytes."),
        ]
    )

    def __post_init__(self) -> None:
        least = {"max_tokens": _LEAST_WINDOW, "window": _LEAST_WINDOW, "batch_tokens": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(f"novelty: {name} is {getattr(self, name)}. Set it to {value} or more.")
        if not 0 < self.share <= 1:
            raise ConfigError(f"novelty: share is {self.share}. Set it above 0 and up to 1, to 0.2 say.")
        if not (math.isfinite(self.threshold) and self.threshold >= 0):
            raise ConfigError(f"novelty: threshold is {self.threshold}. Set it to 0 bits or more.")

    def pinned(self) -> Self:
        """The same settings with the digest of the model as it is now. To be done before a scan.

        Raises:
            SignalError: no model is named, it cannot be read, or it is not the one that `model_digest` says.
        """
        from detectors.hub import digest_of, located

        if not self.model:
            raise SignalError(
                "novelty: no model is set. Name a folder, GGUF file or hub id as model in [tool.foxing.signal.novelty]."
            )
        digest = digest_of(located(self.model, "novelty.model"))
        if self.model_digest not in ("", digest):
            raise SignalError(
                f"novelty: model_digest is {self.model_digest[:12]}, but the files have {digest[:12]}. "
                "Scan with the model that was meant, or leave the digest out."
            )
        return replace(self, model_digest=digest)

    def load(self, device: Device) -> Measure:
        """Load the model.

        Raises:
            SignalError: a model that cannot be read. MissingExtraError: torch or transformers.
        """
        from detectors.language_model import load_language_model

        model = load_language_model(
            self.model, device, precision=self.precision, setting="novelty.model", digest=self.model_digest
        )
        tokens = self.batch_tokens or (0 if model.device.type == "cpu" else _GPU_TOKENS)

        def measure(documents: Documents) -> pa.RecordBatch:
            texts = [text or "" for text in documents.texts()]
            return self._measure(model, texts, tokens)

        return measure

    def _measure(self, model: LanguageModel, texts: Sequence[str], batch_tokens: int) -> pa.RecordBatch:
        capacity = max(2, min(self.window, model.context - len(model.tokens.prefix)))
        laid = [windows(model.tokens, text[:MOST_CHARACTERS], capacity, self.max_tokens) for text in texts]
        scores = iter(_scored(model, [piece.ids for _, pieces in laid for piece in pieces], batch_tokens))
        marks = len(model.tokens.prefix)
        rows: list[dict[str, float | None]] = []
        for total, pieces in laid:
            found = [_Scored.of(piece, next(scores), marks) for piece in pieces]
            known = [one for one in found if len(one.log_p)]
            rows.append(self._row(total, known) if known else dict.fromkeys(self.schema.names))
        columns = [
            pa.array(
                [row[spec.name] for row in rows]
                if pa.types.is_integer(spec.type)
                else [None if (value := row[spec.name]) is None else round(value, _DECIMALS) for row in rows],
                spec.type,
            )
            for spec in self.schema
        ]
        return pa.record_batch(columns, schema=self.schema)

    def _row(self, total: int, found: Sequence[_Scored]) -> dict[str, float | None]:
        log_p, mean, variance = (
            np.concatenate([getattr(one, name) for one in found]) for name in ("log_p", "mean", "variance")
        )
        numbers: Surprisal = summary(
            log_p, mean, variance, [one.span for one in found], share=self.share, threshold=self.threshold
        )
        return {
            "tokens": len(log_p),
            "covered": len(log_p) / total,
            "surprisal": numbers.mean,
            "surprisal_p95": numbers.tail,
            "surprising": numbers.surprising,
            "min_k": numbers.min_k,
            "min_k_plus": numbers.min_k_plus,
            "bits_per_byte": numbers.bits_per_byte,
            "zlib_ratio": numbers.zlib_ratio,
        }


@dataclass(frozen=True, eq=False)
class Piece:
    """A window of a text.

    Attributes:
        ids: int64[marks + t], with the marks that begin a text for the model.
        whole: UTF-8 bytes that its tokens stand for.
        rest: those of all its tokens but the first, for models that have no such mark.
    """

    ids: Ids
    whole: bytes
    rest: bytes


def windows(tokens: Tokens, text: str, capacity: int, most: int) -> tuple[int, list[Piece]]:
    """Cut a text into windows of equal size, and take as many as `most` tokens allow, evenly from begin to end.

    Returns:
        Tokens of the text, and the windows that were taken, in order.
    """
    encoding = tokens.tokenizer.encode(text, add_special_tokens=False)
    ids, offsets = np.array(encoding.ids, np.int64), encoding.offsets
    capacity = min(capacity, most)
    spans = equal_spans(len(ids), capacity)
    longest = max((stop - start for start, stop in spans), default=1)
    taken = len(spans) if len(ids) <= most else most // longest
    chosen = [spans[(2 * place + 1) * len(spans) // (2 * taken)] for place in range(taken)] if spans else []
    marks = np.array(tokens.prefix, np.int64)
    pieces = []
    for start, stop in chosen:
        begin, end = _new(offsets, start), offsets[stop - 1][1]
        second = _new(offsets, start + 1) if stop - start > 1 else end
        whole, rest = (text[at:end].encode("utf-8", "replace") for at in (begin, second))
        pieces.append(Piece(np.concatenate([marks, ids[start:stop]]), whole, rest))
    return len(ids), pieces


def _new(offsets: Sequence[tuple[int, int]], at: int) -> int:
    """Where the first character begins that no token before `at` has: its bytes count for the first token of it.

    Tokens of parts of one character all have the offsets of that character.
    """
    return max(offsets[at][0], offsets[at - 1][1]) if at else offsets[at][0]


def _scored(model: LanguageModel, sequences: Sequence[Ids], batch_tokens: int) -> list[Scores]:
    """Score windows alone, or in batches of a shape that depends on the length of a window alone."""
    if not batch_tokens:
        return model.score(sequences, Batching(), ranks=False)
    buckets: dict[int, list[int]] = {}
    for row, ids in enumerate(sequences):
        buckets.setdefault(-(-len(ids) // _STEP) * _STEP, []).append(row)
    found: dict[int, Scores] = {}
    for width, rows in buckets.items():
        at_once = max(1, batch_tokens // width)
        filling = [np.full(width, model.tokens.pad, np.int64)] * (-len(rows) % at_once)
        scores = model.score(
            [*(sequences[row] for row in rows), *filling], Batching(at_once * width, _STEP), ranks=False
        )
        found.update(zip(rows, scores[: len(rows)], strict=True))
    return [found[row] for row in range(len(sequences))]


@dataclass(frozen=True, eq=False)
class _Scored:
    """The tokens of a window that have a probability, float64[n] each, and the bytes that they stand for."""

    log_p: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    span: bytes

    @classmethod
    def of(cls, piece: Piece, scores: Scores, marks: int) -> Self:
        """Leave out what was expected within the marks."""
        first = max(0, marks - 1)
        log_p, mean, variance = (
            part[first:].astype(np.float64) for part in (scores.log_p, scores.mean, scores.variance)
        )
        return cls(log_p, mean, variance, piece.whole if marks else piece.rest)
