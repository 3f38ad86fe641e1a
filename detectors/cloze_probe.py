"""The signal `cloze`: which dates, numbers and names a model could have filled in where a text has them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.cloze import Cloze, blanked, drawn
from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.protocols import Device, Measure

if TYPE_CHECKING:
    from detectors.continuation import Continuations

__all__ = ["ClozeProbe"]

_MOST_CHARACTERS = 1 << 20
_P_DECIMALS, _LOG_DECIMALS = 6, 4
_LEAST_LIFT = math.log(2.0)


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class ClozeProbe:
    """Advisory: how many of the dates, numbers and names at the end of a text's clauses a model does not know.

    Of each text at most `most` items are drawn (`detectors.cloze`); the model reads the clause up to the answer, alone,
    and teacher forcing gives the exact probability that a sample at `temperature` from the likeliest `top_k` tokens
    goes on with the answer. An item is unknown where greedy decoding does not give it and a right one among `samples`
    samples is less likely than not: the rule of SliCK (Gekhman et al. 2024, arXiv 2405.05904), with one prompt in place
    of ten. Corrected for chance, it is unknown also where the clause makes the answer less than twice as probable as
    the same clause without its names and numbers (`X` and `some` in their place): its facts were of little use.

    Most names in stories and most numbers are unknowable, so a share of unknown items compares texts of one kind and
    measures nothing by itself. All fields are null in texts that were not chosen.

    Attributes:
        model: folder, GGUF file or hub id of a causal language model.
        most: items of a text.
        chosen: share of texts that are asked, chosen by a hash of the text; over 0 to 1.
        temperature: of samples.
        top_k: tokens that a sample is drawn from.
        samples: tries; 160 are ten prompts of sixteen.
        precision: of the weights.
        seed: of the draw and the choice.
        model_digest: of the model's files. `pinned` fills it in.

    Raises:
        ConfigError: a setting outside its range.
    """

    model: str = field(default="", metadata={"location": True})
    most: int = 4
    chosen: float = 1.0
    temperature: float = 0.5
    top_k: int = 40
    samples: int = 160
    precision: str = "float32"
    seed: int = 17
    model_digest: str = ""

    name: ClassVar[str] = "cloze"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("found", pa.int32(), "Items that the text has (in its first 2^20 characters)."),
            _field("asked", pa.int32(), "Of them asked, at most `most`."),
            _field("greedy", pa.int32(), "Of these, answers that greedy decoding gives."),
            _field("unknown", pa.int32(), "Of these, unknown to the model."),
            _field("corrected", pa.int32(), "Of these, unknown corrected for chance; `unknown` among them."),
            _field("kind", pa.list_(pa.string()), "Of each item: date, number or name."),
            _field("at", pa.list_(pa.int32()), "Where its answer begins, in characters of the text."),
            _field("p_sampled", pa.list_(pa.float32()), "Probability that a sample is the answer; 0 to 1."),
            _field("log_p", pa.list_(pa.float32()), "Log probability of the answer after its clause."),
            _field("bare_log_p", pa.list_(pa.float32()), "The same after the clause without its names and numbers."),
            _field("is_unknown", pa.list_(pa.bool_()), "Whether it is unknown."),
            _field("is_corrected", pa.list_(pa.bool_()), "Whether it is unknown corrected for chance."),
        ]
    )

    def __post_init__(self) -> None:
        for name in ("most", "top_k", "samples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"cloze: {name} is {getattr(self, name)}. Set it to 1 or more.")
        if not self.temperature > 0:
            raise ConfigError(f"cloze: temperature is {self.temperature}. Set it above 0, to 0.5 say.")
        if not 0 < self.chosen <= 1:
            raise ConfigError(f"cloze: chosen is {self.chosen}. Set it above 0 and up to 1.")

    def pinned(self) -> Self:
        """The same settings with the digest of the model as it is now. To be done before a scan.

        Raises:
            SignalError: no model is named, it cannot be read, or it is not the one that `model_digest` says.
        """
        from detectors.hub import digest_of, located

        if not self.model:
            raise SignalError("cloze: no model is set. Name a folder, GGUF file or hub id with --model.")
        digest = digest_of(located(self.model, "cloze.model"))
        if self.model_digest not in ("", digest):
            raise SignalError(
                f"cloze: model_digest is {self.model_digest[:12]}, but the files have {digest[:12]}. "
                "Probe with the model that was meant, or leave the digest out."
            )
        return replace(self, model_digest=digest)

    def load(self, device: Device) -> Measure:
        """Load the model.

        Raises:
            SignalError: a model that cannot be read. MissingExtraError: torch or transformers.
        """
        from detectors.continuation import Continuations
        from detectors.language_model import load_language_model

        model = load_language_model(
            self.model, device, precision=self.precision, setting="cloze.model", digest=self.model_digest
        )
        judge = Continuations.of(model, temperature=self.temperature, top_k=self.top_k)

        def measure(documents: Documents) -> pa.RecordBatch:
            return self._measure(judge, [text or "" for text in documents.texts()])

        return measure

    def is_chosen(self, text: str) -> bool:
        """Whether a text is asked: a matter of its content and the seed."""
        if self.chosen == 1:
            return True
        key = hashlib.blake2b(f"{self.seed}\0{text}".encode("utf-8", "replace"), digest_size=8).digest()
        return int.from_bytes(key, "little") < self.chosen * 2**64

    def _measure(self, judge: Continuations, texts: Sequence[str]) -> pa.RecordBatch:
        rows = [
            drawn(text[:_MOST_CHARACTERS], self.most, self.seed) if self.is_chosen(text) else None for text in texts
        ]
        asked = _Asked.of(self, judge, [item for row in rows if row for item in row[1]])
        edges = np.cumsum([0, *(len(row[1]) if row else 0 for row in rows)])
        none = np.array([row is None for row in rows], np.bool_)

        def counts(values: npt.NDArray[np.bool_]) -> pa.Array:
            running = np.concatenate([[0], np.cumsum(values)])
            return pa.array((running[edges[1:]] - running[edges[:-1]]).astype(np.int32), mask=none)

        def lists(values: pa.Array) -> pa.Array:
            offsets = pa.array(edges.astype(np.int32), pa.int32(), mask=np.append(none, False))
            return pa.ListArray.from_arrays(offsets, values)

        every = np.ones(len(asked.items), np.bool_)
        columns = [
            pa.array([row[0] if row else None for row in rows], pa.int32()),
            *(counts(values) for values in (every, asked.greedy, asked.unknown, asked.corrected)),
            lists(pa.array([item.kind for item in asked.items], pa.string())),
            lists(pa.array([item.at for item in asked.items], pa.int32())),
            *(lists(pa.array(values.astype(np.float32))) for values in (asked.sampled, asked.log_p, asked.bare_log_p)),
            *(lists(pa.array(values, pa.bool_())) for values in (asked.unknown, asked.corrected)),
        ]
        return pa.record_batch(columns, schema=self.schema)


@dataclass(frozen=True, eq=False)
class _Asked:
    """n items and what the model knows of them; floats are rounded, so that what float noise moves is not stored."""

    items: Sequence[Cloze]
    sampled: npt.NDArray[np.float64]
    log_p: npt.NDArray[np.float64]
    bare_log_p: npt.NDArray[np.float64]
    greedy: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.bool_]
    corrected: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, settings: ClozeProbe, judge: Continuations, items: Sequence[Cloze]) -> Self:
        from detectors.continuation import split
        from detectors.slick import Category, any_hit, categories

        tokens = judge.model.tokens
        pairs = [split(tokens, item.prefix, item.answer) for item in items]
        bare = [split(tokens, blanked(item.prefix), item.answer) for item in items]
        whole, apart = (judge.judge(*([pair[side] for pair in each] for side in (0, 1))) for each in (pairs, bare))
        sampled = np.clip(whole.sampled, 0.0, 1.0).round(_P_DECIMALS)
        log_p, bare_log_p = (found.log_p.round(_LOG_DECIMALS) for found in (whole, apart))
        codes = categories(whole.greedy[:, None], any_hit(sampled[:, None], settings.samples))
        unknown = codes == Category.UNKNOWN.value
        return cls(
            items, sampled, log_p, bare_log_p, whole.greedy, unknown, unknown | (log_p < bare_log_p + _LEAST_LIFT)
        )
