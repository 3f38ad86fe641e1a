"""Whether the answer of a benchmark item stands near the passage that a document shares with its question.

A question alone may be anybody's; question and answer next to each other are the item. Only the answer's own words
count, as one run: of a multiple-choice item the text of the right option, whatever letter or list stands around it. So
an answer of one common word may stand there by chance, and where options are listed the right one is among them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import bare
from detectors.overlap import Overlaps
from detectors.words import Words

__all__ = ["NEAR_WORDS", "answers_near"]

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

NEAR_WORDS = 50
"""The answer begins at most so many words after the passage, or ends at most so many before it."""
_UNKNOWN = np.uint8(2)


def answers_near(documents: Words, words: U64, offsets: I64, answer_words: I32, found: Overlaps) -> U8:
    """uint8[n]: 1 where the answer of the best item stands near, 0 where it does not, 2 where that is undefined.

    Undefined in documents that share nothing with the question part of an item, and for items without an answer part.

    Args:
        documents: the documents that were searched.
        words: uint64[m]; word hashes of all items.
        offsets: int64[items + 1]; item i has `words[offsets[i] : offsets[i + 1]]`.
        answer_words: int32[items]; so many of an item's last words are its answer.
        found: what the search gave.
    """
    result = np.full(len(found.item), _UNKNOWN, np.uint8)
    for document in np.flatnonzero(found.asked > 0):
        item = found.item[document]
        size = int(answer_words[item])
        if size:
            span = documents.doc_offsets[document], documents.doc_offsets[document + 1]
            answer = words[offsets[item + 1] - size : offsets[item + 1]]
            start, length = int(found.passage[document]), int(found.passage_words[document])
            end_place = found.passage_place[document] + length
            inside = end_place == offsets[item + 1] and length >= size
            result[document] = inside or _stands(documents.hashes, span, answer, start, start + length)
    return result


@bare
def _stands(hashes: U64, span: tuple[int, int], answer: U64, start: int, end: int) -> bool:
    """Whether the answer stands as a run near words `start` to `end`, outside them."""
    size = answer.size
    for at in range(max(span[0], start - NEAR_WORDS - size), min(span[1] - size, end + NEAR_WORDS) + 1):
        if at + size > start and at < end:
            continue
        same = 0
        while same < size and hashes[at + same] == answer[same]:
            same += 1
        if same == size:
            return True
    return False
