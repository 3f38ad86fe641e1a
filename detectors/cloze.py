"""Finds dates, numbers and names that end a clause of prose, so that a model can be asked for them: cloze items.

English first. Months, titles, pronouns and conjunctions are known in English only; a name is a run of words with
capitals, which finds too much in German, nothing in scripts without case, and nothing in scripts without spaces.
Numbers and ISO dates are found in any script that puts spaces between words, whatever its digits.

A clause is asked about only where it may say what the fact is: it has `_LEAST_WORDS` words before the answer, one of
them besides the first a name or a number; it does not begin with a pronoun, which points to text that the model is
not shown; it does not hold the answer already; and the answer is no item of an enumeration, whose order says nothing.
This leaves facts that no reader could know (prices, opinions, people in stories): a share of unknown items is a
property of the text and these rules, and compares texts; its level means little.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["KINDS", "Cloze", "blanked", "clozes", "drawn"]

KINDS = ("date", "number", "name")

_LEAST_WORDS, _MOST_WORDS = 5, 60
_MOST_CHARACTERS = 2000  # before an answer: a text that never ends a sentence would else be read again at each clause
_TAIL = 80
_MOST_CAPITALS = 4
_MOST_CAPITAL_SHARE = 0.6
_MONTHS = (
    "January|February|March|April|May|June|July|August|September|October|November|December|"
    "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec"
)
_DAYS = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_DATE = re.compile(
    rf"(?<![\w.,/-])(?:{_DAY}\s+(?:of\s+)?(?:{_MONTHS})\.?(?:,?\s+\d{{4}})?|(?:{_MONTHS})\.?\s+{_DAY}(?:,\s*\d{{4}})?|"
    rf"(?:{_MONTHS})\.?,?\s+\d{{4}}|\d{{4}}-\d{{2}}-\d{{2}})\Z"
)
_NUMBER = re.compile(
    r"(?<![\w.,:/$€£¥#–-])[-−]?[$€£¥]?\d+(?:[.,]\d+)*(?:\s?%|\s+(?:percent|per\s+cent|thousand|million|billion|trillion))?\Z"
)
_YEAR = re.compile(r"1\d{3}|20\d{2}")
_BEFORE_YEAR = frozenset(
    "in since by until till from to of during around about before after circa early late mid year".split()
)
_BOUNDARY = re.compile(r"(?P<mark>[.!?;:,)\]»”\"…]+)(?=\s|\Z)|(?P<wide>[。！？；，、])|\n\s*(?:\n|(?=[-*#|>•]))")
_OPENING = "(\"“‘'[«„"
_AROUND = "\"“”‘’'()[].,;:!?—–-"
_NO_NAME, _NO_NUMBER = "X", "some"
_ENDS = frozenset(".!?…。！？")
_TITLES = frozenset(
    "mr mrs ms dr st prof rev hon gen col capt lt sgt jr sr no vol fig vs etc e.g i.e cf inc ltd co".split()
)
_JOINERS = frozenset("of de da del della di du van von der den la le el al bin ibn".split())
_POINTING = frozenset(
    "i he she it they we you this that these those his her hers its their theirs our ours my mine your yours him them "
    "us here there who which what and but or so then also".split()
)
_LISTING = frozenset("and or nor & / , ; : [ - – —".split())


@dataclass(frozen=True)
class Cloze:
    """A clause that breaks off, and what comes next.

    Attributes:
        prefix: the sentence up to the answer, with single spaces, and with the one before the answer if there is one.
        answer: as the text has it, with single spaces.
        kind: one of `KINDS`.
        at: where the answer begins, in characters of the text.
    """

    prefix: str
    answer: str
    kind: str
    at: int


def drawn(text: str, most: int, seed: int) -> tuple[int, list[Cloze]]:
    """How many items a text has, and at most `most` of them, drawn by hash, in order of the text.

    An item that a text has twice counts once. The draw depends on the item and the seed alone.
    """
    found = {(item.prefix, item.answer): item for item in reversed(list(clozes(text)))}
    kept = sorted(found.values(), key=lambda item: _hash(f"{seed}\0{item.prefix}\0{item.answer}"))[:most]
    return len(found), sorted(kept, key=lambda item: item.at)


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()


def blanked(prefix: str) -> str:
    """A prefix without its facts: `X` for a name behind the first word, `some` for what holds a digit."""
    words: list[str] = []
    for word in prefix.split():
        bare = word.strip(_AROUND)
        if _has_digit(bare):
            words.append(word.replace(bare, _NO_NUMBER, 1))
            continue
        if words and _is_named(bare):
            word = word.replace(bare, _NO_NAME, 1)
            if words[-1] == _NO_NAME:  # the same name goes on
                words.pop()
        words.append(word)
    return " ".join(words) + prefix[len(prefix.rstrip()) :]


def clozes(text: str) -> Iterator[Cloze]:
    """Every item of a text, in order."""
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        mark = boundary["mark"] or boundary["wide"] or "\n"
        item = _item(text, start, boundary.start(), mark)
        if item is not None:
            yield item
        if mark == "\n" or (_ENDS & set(mark) and not _abbreviated(text, start, boundary.start(), mark)):
            start = boundary.end()


def _abbreviated(text: str, start: int, stop: int, mark: str) -> bool:
    """Whether a point belongs to the word before it: an initial or a title."""
    last = (text[max(start, stop - _TAIL) : stop].split() or [""])[-1].lstrip(_OPENING)
    return mark == "." and ((len(last) == 1 and last.isalpha()) or last.casefold() in _TITLES)


def _item(text: str, start: int, stop: int, mark: str) -> Cloze | None:
    if mark == "\n" or _abbreviated(text, start, stop, mark):
        return None
    begin = max(start, stop - _TAIL)
    found = _answer(text[begin:stop])
    if found is None:
        return None
    kind, length = found
    at = stop - length
    if at - start > _MOST_CHARACTERS:
        return None
    if mark[0] == "," and _goes_on(text[stop + 1 : stop + _TAIL], kind):
        return None
    words = text[start:at].split()
    answer = " ".join(text[at:stop].split())
    if kind == "number" and words and _YEAR.fullmatch(answer) and words[-1].casefold() in _BEFORE_YEAR:
        kind = "date"
    if not _tells(words, answer):
        return None
    gap = " " if text[at - 1].isspace() else ""
    return Cloze(" ".join(words) + gap, answer, kind, at)


def _goes_on(after: str, kind: str) -> bool:
    """Whether a date or an enumeration may go on after a comma."""
    first = (after.split() or [""])[0]
    return first in _LISTING or (first[:1].isupper() if kind == "name" else first[:1].isdigit())


def _answer(tail: str) -> tuple[str, int] | None:
    """(kind, characters) of the answer that ends a run of text."""
    for kind, pattern in (("date", _DATE), ("number", _NUMBER)):
        found = pattern.search(tail)
        if found is not None:
            return kind, len(found[0])
    length = _name(tail)
    return ("name", length) if length else None


def _name(tail: str) -> int:
    """Characters of the name that ends a run of text; 0 where there is none, or where it may begin earlier."""
    words = list(re.finditer(r"\S+", tail))
    first, capitals = len(words), 0
    at = len(words) - 1
    while at >= 0:
        word = words[at][0]
        if _is_capital(word, last=first == len(words)):
            first, capitals = at, capitals + 1
        elif word not in _JOINERS or first == len(words):
            break
        at -= 1
    if not 0 < capitals <= _MOST_CAPITALS or at < 0 or words[at][0].lstrip(_OPENING)[:1].isupper():
        return 0
    if "\n" in tail[words[first].start() - 1 : words[first].start()]:
        return 0  # lines of verse begin with a capital
    name = tail[words[first].start() :]
    if name.casefold() in _DAYS or re.fullmatch(rf"(?:{_MONTHS})\.?|I", name):
        return 0
    return len(name)


def _is_capital(word: str, *, last: bool) -> bool:
    """Whether a word may be part of a name: a capital, letters, and a point only after an initial or a title."""
    bare = word.removesuffix(".")
    if bare != word and (last or not (len(bare) == 1 or bare.casefold() in _TITLES)):
        return False
    letters = bare.replace("’", "").replace("'", "").replace("-", "").replace(".", "")
    return bool(letters) and bare[0].isupper() and letters.isalpha()


def _tells(words: list[str], answer: str) -> bool:
    """Whether the words before an answer may say what is asked."""
    if not _LEAST_WORDS <= len(words) <= _MOST_WORDS:
        return False
    first, last = words[0].strip("\"“”‘’'(—–-").casefold(), words[-1]
    if re.split(r"['’]", first)[0] in _POINTING or last.casefold() in _LISTING or last[-1] in ",;:[":
        return False
    bare = [word.strip(_AROUND) for word in words[1:]]
    named = sum(map(_is_named, bare))
    if not named + sum(map(_has_digit, bare)) or named > _MOST_CAPITAL_SHARE * len(bare):
        return False
    return answer.casefold() not in " ".join(words).casefold()


def _is_named(word: str) -> bool:
    return word[:1].isupper() and word != "I" and not word.startswith(("I'", "I’"))


def _has_digit(word: str) -> bool:
    return any(letter.isdigit() for letter in word)
