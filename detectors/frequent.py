"""Items that many documents share: word n-grams, openings and endings, with bounds on what was missed.

Items are counted exactly in a random sample of the documents of a part (`detectors.samples`); where all of them fit,
the sample is all. A document at a sampling share 2**-k stands for 2**k, so the numbers are unbiased, with a variance
that is kept beside them. Of each part the items in most documents are listed, and the largest number of documents that
an unlisted item had is its `floor`. Merging adds numbers, variances and floors and forgets nothing, in whatever order:
an item's estimate falls short by the sum of the floors at most, sampling apart.

Two n-grams of a part are taken for one when 44 bits of their hashes agree, which happens to none in 99 parts of 100.

A longer look at fewer documents beats a fixed number of counters (Misra and Gries 1982) here: most n-grams occur once,
and counters that are shared with those err by hundreds where a sample errs by the square root.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.errors import FindingsError
from detectors.jit import compiled, read_only
from detectors.ngrams import ngram_hash, power, prefix_hashes
from detectors.samples import MAX_TEXT_BYTES, Sample
from detectors.unicode_classes import IGNORED, class_table, fold_table

__all__ = ["FrequentItems", "Item", "count_items", "display_text"]

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

_HEADER = struct.Struct("<4sB3xIIqq")
_MAGIC, _VERSION = b"FXFI", 1
_ONE = np.uint64(1)
_BY_SOURCE = np.uint64(0xD1342543DE82EF95)
_MIN_DOCUMENTS = 2


class Item(NamedTuple):
    """One item of a list.

    Attributes:
        text: its words as they are compared (lower case), at most 80 bytes.
        documents: estimated number of documents that have it.
        standard_error: of `documents`, from sampling; 0 where every document was looked at.
        occurrences: estimated number of occurrences.
    """

    text: str
    documents: int
    standard_error: float
    occurrences: int


class FrequentItems:
    """The items in most documents.

    Attributes:
        hashes: uint64[n], ascending.
        documents: int64[n], estimated number of documents that have the item.
        variances: int64[n], of `documents`, from sampling.
        occurrences: int64[n], estimated.
        texts: string[n], see `display_text`.
        floor: an item that is not listed is in at most so many documents, sampling apart; a listed one may be in so
            many more than its estimate says.
        candidates: estimated number of documents that are long enough to have an item.
    """

    def __init__(
        self,
        hashes: U64,
        documents: I64,
        variances: I64,
        occurrences: I64,
        texts: pa.StringArray,
        *,
        floor: int = 0,
        candidates: int = 0,
    ) -> None:
        self.hashes, self.documents, self.variances, self.occurrences = hashes, documents, variances, occurrences
        self.texts, self.floor, self.candidates = texts, floor, candidates

    @classmethod
    def empty(cls) -> Self:
        """No items of no documents."""
        none = np.empty(0, np.int64)
        return cls(np.empty(0, np.uint64), none, none, none, pa.array([], pa.string()))

    def __len__(self) -> int:
        return len(self.hashes)

    def merge(self, other: Self) -> None:
        """Become the list of both: associative and commutative, and nothing is cut off."""
        both = type(self).union([self, other])
        self.__dict__.update(both.__dict__)

    @classmethod
    def union(cls, lists: Sequence[Self]) -> Self:
        """All lists merged, in one go."""
        if not lists:
            return cls.empty()
        hashes = np.concatenate([found.hashes for found in lists])
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        starts = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]])) if len(hashes) else order

        def summed(values: Sequence[I64]) -> I64:
            together = np.concatenate(values)[order]
            return np.add.reduceat(together, starts) if len(starts) else together

        texts = pa.concat_arrays([found.texts for found in lists])
        return cls(
            hashes[starts],
            summed([found.documents for found in lists]),
            summed([found.variances for found in lists]),
            summed([found.occurrences for found in lists]),
            texts.take(pa.array(order[starts])),
            floor=sum(found.floor for found in lists),
            candidates=sum(found.candidates for found in lists),
        )

    def cut(self, most: int) -> Self:
        """The items in most documents, at most so many; the floor rises by the most documents of one that is left out.

        Not part of merging: whoever merges without end decides when, and in which order.
        """
        if len(self) <= most:
            return self
        order = self._ranked()
        kept = np.sort(order[:most])
        return type(self)(
            self.hashes[kept],
            self.documents[kept],
            self.variances[kept],
            self.occurrences[kept],
            self.texts.take(pa.array(kept)),
            floor=self.floor + int(self.documents[order[most]]),
            candidates=self.candidates,
        )

    def top(self, most: int) -> list[Item]:
        """The items in most documents, first the most frequent."""
        order = self._ranked()[:most]
        texts = self.texts.take(pa.array(order)).to_pylist()
        return [
            Item(text, int(self.documents[i]), float(np.sqrt(float(self.variances[i]))), int(self.occurrences[i]))
            for text, i in zip(texts, order, strict=True)
        ]

    def _ranked(self) -> I64:
        return np.lexsort((self.hashes, -self.occurrences, -self.documents))

    def to_bytes(self) -> bytes:
        """Magic, version, items, bytes of text, floor, candidates; then hashes, numbers, ends of texts, texts."""
        texts = [text.encode() for text in self.texts.to_pylist()]
        ends = np.cumsum([len(text) for text in texts], dtype="<u4")
        numbers = [self.documents, self.variances, self.occurrences]
        return b"".join(
            [
                _HEADER.pack(_MAGIC, _VERSION, len(self), sum(map(len, texts)), self.floor, self.candidates),
                self.hashes.astype("<u8").tobytes(),
                *(values.astype("<i8").tobytes() for values in numbers),
                ends.tobytes(),
                *texts,
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` wrote.

        Raises:
            FindingsError: it did not.
        """
        try:
            magic, version, n, size, floor, candidates = _HEADER.unpack_from(data)
            if (magic, version) != (_MAGIC, _VERSION):
                raise FindingsError(f"no frequent items of version {_VERSION}: {magic!r} {version}. Scan with --fresh.")
            at = _HEADER.size
            hashes = np.frombuffer(data, "<u8", n, at).astype(np.uint64)
            numbers = np.frombuffer(data, "<i8", 3 * n, at + 8 * n).astype(np.int64).reshape(3, n)
            documents, variances, occurrences = numbers
            ends = np.frombuffer(data, "<u4", n, at + 32 * n)
            offsets = np.concatenate([[0], ends]).astype(np.int32)
            text = data[at + 36 * n : at + 36 * n + size]
            if len(text) != size or int(offsets[-1]) != size:
                raise ValueError("it ends early")
            texts = pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(text))
            texts.validate(full=True)
        except (struct.error, ValueError) as error:
            raise FindingsError(f"a list of frequent items is damaged ({error}). Scan again with --fresh.") from error
        return cls(hashes, documents, variances, occurrences, texts, floor=floor, candidates=candidates)


def count_items(sample: Sample, n: int, sources: int, most: int) -> list[FrequentItems]:
    """The n-grams in most of the sampled documents, by source.

    Args:
        sample: of a part.
        n: words in an item.
        sources: how many sources there are.
        most: items to list of each.

    Returns:
        One list a source. Items of a single sampled document are never listed: their text is nobody else's business.
    """
    offsets, by_document = read_only(sample.offsets), read_only(sample.sources)
    place_bits = max(len(sample.hashes).bit_length(), 1)
    prefix = prefix_hashes(read_only(sample.hashes))
    keys = _keys(prefix, offsets, by_document, n, place_bits)
    keys.sort()
    owner_of = np.repeat(np.arange(len(by_document), dtype=np.int32), np.diff(offsets))
    places, counts, documents, dropped = _runs(keys, owner_of, place_bits, by_document, sources)
    hashes = _hashes(prefix, places, n)
    owners = by_document[owner_of[places]]
    candidates = np.bincount(by_document[np.diff(offsets) >= n], minlength=sources)
    if sources == 1 and len(places) > most:
        # Sorting only what may be listed: the rest is most of it.
        least = np.partition(documents, len(places) - most)[len(places) - most]
        dropped[0] = max(int(dropped[0]), int(documents[documents < least].max(initial=0)))
        near = documents >= least
        hashes, counts, documents = hashes[near], counts[near], documents[near]
        places, owners = places[near], owners[near]
    order = np.lexsort((hashes, -counts, -documents, owners))
    starts = np.searchsorted(owners[order], np.arange(sources + 1))
    weight = 1 << sample.level
    found = []
    for source in range(sources):
        mine = order[starts[source] : starts[source + 1]]
        floor = int(dropped[source])
        if len(mine) > most:
            floor = max(floor, int(documents[mine[most]]))
            mine = mine[:most]
        mine = mine[np.argsort(hashes[mine])]
        seen = documents[mine]
        found.append(
            FrequentItems(
                hashes[mine],
                seen * weight,
                seen * (weight * (weight - 1)),
                counts[mine] * weight,
                pa.array([display_text(sample.text(int(place), n)) for place in places[mine]], pa.string()),
                floor=floor * weight,
                candidates=int(candidates[source]) * weight,
            )
        )
    return found


def display_text(words: bytes) -> str:
    """Words, separated by spaces, as their hashes see them: folded, without what is ignored; at most 80 bytes."""
    if words.isascii():
        text = words.lower()
    else:
        folds, classes = fold_table(), class_table()
        codes = (ord(character) for character in words.decode("utf-8", "ignore"))
        kept = (int(folds[code]) if code < len(folds) else code for code in codes if classes[code] != IGNORED)
        text = "".join(map(chr, kept)).encode()
    if len(text) <= MAX_TEXT_BYTES:
        return text.decode()
    return text[: MAX_TEXT_BYTES - 3].decode("utf-8", "ignore") + "…"


@compiled
def _keys(prefix: U64, offsets: I64, sources: I64, n: int, place_bits: int) -> U64:
    """A key for each n-gram of a document: its source and hash, and its place in the low `place_bits` of the key."""
    total = 0
    for document in range(sources.size):
        total += max(0, offsets[document + 1] - offsets[document] - n + 1)
    base_to_n, keys = power(n), np.empty(total, np.uint64)
    bits = np.uint64(place_bits)
    used = 0
    for document in range(sources.size):
        of_source = np.uint64(sources[document]) * _BY_SOURCE
        first = offsets[document]
        for i in range(offsets[document + 1] - n + 1 - first):
            key = ngram_hash(prefix, first + i, n, base_to_n) + of_source
            keys[used + i] = (key >> bits) << bits | np.uint64(first + i)
        used += max(0, offsets[document + 1] - n + 1 - first)
    return keys


@compiled
def _hashes(prefix: U64, places: I64, n: int) -> U64:
    base_to_n, out = power(n), np.empty(places.size, np.uint64)
    for i in range(places.size):
        out[i] = ngram_hash(prefix, places[i], n, base_to_n)
    return out


@compiled
def _runs(keys: U64, owner_of: I32, place_bits: int, sources: I64, n_sources: int) -> tuple[I64, I64, I64, I64]:
    """Place, occurrences and documents of every run of sorted keys that covers two documents or more.

    The last array says, by source, in how many documents the most frequent of all others is.
    """
    bits = np.uint64(place_bits)
    places_mask = (_ONE << bits) - _ONE
    room = keys.size // 2 + 1
    places, counts, documents = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    dropped = np.zeros(n_sources, np.int64)
    found = at = 0
    while at < keys.size:
        run = keys[at] >> bits
        start = at
        at += 1
        place = keys[start] & places_mask
        last = owner_of[place]
        seen = 1
        while at < keys.size and keys[at] >> bits == run:
            owner = owner_of[keys[at] & places_mask]
            seen += owner != last
            last = owner
            at += 1
        if seen >= _MIN_DOCUMENTS:
            places[found], counts[found], documents[found] = place, at - start, seen
            found += 1
        else:
            dropped[sources[last]] = _MIN_DOCUMENTS - 1
    return places[:found], counts[:found], documents[:found], dropped
