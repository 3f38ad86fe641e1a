"""chrF of a translation against a reference (Popović 2015): what quality metrics are held against."""

from __future__ import annotations

from collections import Counter

__all__ = ["chrf"]

_LONGEST = 6
_BETA = 2.0


def chrf(found: str, reference: str) -> float:
    """0 to 100: F-score, recall counting twice, of character n-grams for n of 1 to 6, white space left out.

    Precision and recall are averaged over the lengths that either text has.
    """
    ours, theirs = "".join(found.split()), "".join(reference.split())
    precision, recall, orders = 0.0, 0.0, 0
    for n in range(1, _LONGEST + 1):
        own, other = _grams(ours, n), _grams(theirs, n)
        if not own or not other:
            continue
        common = (own & other).total()
        precision += common / own.total()
        recall += common / other.total()
        orders += 1
    if not orders or not precision + recall:
        return 0.0
    precision, recall = precision / orders, recall / orders
    return 100 * (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall)


def _grams(text: str, n: int) -> Counter[str]:
    return Counter(text[at : at + n] for at in range(len(text) - n + 1))
