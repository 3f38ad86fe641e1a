"""How nearly an answer says what another says: equal, contained where that is sure, or a share of common words.

Sure is: the same words; the same letters with other spaces; all words of the accepted answer together and in order
within the other (`in Paris, France` for `Paris`); an answer that is such a run of the accepted one and has half of its
telling words (`December 1972` for `14 December 1972 UTC`); the same telling words in another order; initials
(`usa` for `united states of america`). Telling words are those that neither the question has nor every sentence
(`the city of X is in Y` tells `Y`). Where one of two says `not` or `never` and the other does not, only equal is sure.
Two numbers that are not equal have nothing in common. All texts are of `detectors.answers.normalised_answers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from detectors.answers import NUMBER_WORDS

__all__ = ["Told", "differs", "likeness", "told"]

_FILLERS = frozenset(
    "a an and are as at be been by did do does for from had has have he her his in is it its of on or s she that the "
    "their there they this to was were which who with".split()
)
_NEGATIONS = frozenset(
    "no not never none nobody nothing neither nor cannot cant dont doesnt didnt isnt wasnt arent werent wont".split()
)
_DIGITS = {word: str(number) for word, number in NUMBER_WORDS.items()}
_YES_NO = frozenset(("yes", "no", "true", "false"))


class Told:
    """An answer taken apart once, to be compared with many.

    Attributes:
        text: normalised.
        words: of it, number words as digits.
        telling: words that are neither fillers nor given by the question; all words where none is left.
        negated: whether it denies something.
        number: its value when it is a number and nothing else.
    """

    __slots__ = ("letters", "negated", "number", "telling", "text", "words")

    def __init__(self, text: str, given: frozenset[str]) -> None:
        self.text = text
        self.words = [_DIGITS.get(word, word) for word in text.split()]
        own = [word for word in self.words if word not in _FILLERS]
        self.telling = frozenset(word for word in own if word not in given) or frozenset(own) or frozenset(self.words)
        self.negated = any(word in _NEGATIONS for word in self.words)
        self.letters = text.replace(" ", "")
        self.number = _number(text)


@lru_cache(maxsize=65_536)
def told(text: str, given: frozenset[str]) -> Told:
    """An answer taken apart, remembered."""
    return Told(text, given)


def _number(text: str) -> float | None:
    if not text[-1:].isdigit():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def likeness(answer: Told, accepted: Told) -> float:
    """0 (nothing in common) to 1 (surely no other answer); between, the F1 of telling words, at most 0.95."""
    if answer.letters == accepted.letters:
        return 1.0
    if not answer.words or not accepted.words:
        return 0.0
    if answer.number is not None and accepted.number is not None:
        return 1.0 if answer.number == accepted.number else 0.0
    if accepted.words[0] in _YES_NO and answer.words[0] in _YES_NO:
        if accepted.words[0] != answer.words[0]:
            return 0.0
        if len(accepted.words) == 1 or len(answer.words) == 1:
            return 1.0
    if answer.negated == accepted.negated and _surely(answer, accepted):
        return 1.0
    common = len(answer.telling & accepted.telling)
    score = 2 * common / (len(answer.telling) + len(accepted.telling))
    if answer.negated != accepted.negated:
        score /= 4
    return min(score, 0.95)


def differs(answer: Told, accepted: Told) -> bool:
    """Whether an answer is surely another one: not alike, and not the same with words left out."""
    if answer.telling <= accepted.telling or accepted.telling <= answer.telling:
        return answer.number is not None and accepted.number is not None and answer.number != accepted.number
    return likeness(answer, accepted) < 1.0


def _surely(answer: Told, accepted: Told) -> bool:
    if _holds(answer.words, accepted.words):
        return True
    common = len(answer.telling & accepted.telling)
    if 2 * common >= len(accepted.telling) and _holds(accepted.words, answer.words) and common:
        return True
    if answer.telling == accepted.telling:
        return len(answer.telling) > 1 or len(accepted.words) > len(accepted.telling) or len(answer.words) > 1
    return _is_initials(answer, accepted) or _is_initials(accepted, answer)


def _holds(words: Sequence[str], run: Sequence[str]) -> bool:
    """Whether the words of `run` stand together in `words`."""
    size = len(run)
    if size > len(words):
        return False
    first = run[0]
    return any(word == first and words[at : at + size] == run for at, word in enumerate(words[: len(words) - size + 1]))


def _is_initials(short: Told, long: Told) -> bool:
    letters = short.text
    if not (2 <= len(letters) <= 6 and letters.isalpha()) or len(long.words) < 2:
        return False
    return letters in (
        "".join(word[0] for word in long.words),
        "".join(word[0] for word in long.words if word not in _FILLERS),
    )
