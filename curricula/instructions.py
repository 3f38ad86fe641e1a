"""Instructions whose keeping a program can check: what uniform synthetic formats make models worse at.

Each kind makes an instruction and a check of the answer. Nothing here judges whether an answer is good, only whether it
has the form that was asked for (the idea of IFEval, Zhou et al. 2023, arXiv 2311.07911; kinds, wording and code are our
own).
"""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["KINDS", "TOPICS", "Instruction", "instructions"]

TOPICS = (
    "the sea", "a railway station", "bread", "the history of paper", "bees", "a walk in winter", "bicycles", "clouds",
    "how a lock works", "learning to swim", "an old map", "the colour blue", "mountains", "a market", "tea", "chess",
    "the moon", "gardening", "a lost letter", "bridges", "rain", "wool", "a night train", "volcanoes",
)  # fmt: skip
_LETTERS = "bcdfghlmnprst"
_KEYWORDS = ("river", "stone", "garden", "window", "silver", "morning", "paper", "music", "winter", "harbour")
_BULLET = re.compile(r"^[ \t]*- +\S", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s|$)")
_SIX = re.compile(r"^[ \t]*\*{6}[ \t]*$", re.MULTILINE)
_NUMBERED = re.compile(r"^\s*(\d+)[.)]\s+\S", re.MULTILINE)
_TABLE = re.compile(r"^\|[^|\n]+\|[^|\n]+\|\s*\n\|[\s:-]+\|[\s:-]+\|\s*\n\|", re.MULTILINE)
_POSTSCRIPT = re.compile(r"^P\.S\.", re.MULTILINE)

Check = Callable[[str], bool]
Made = tuple[str, Check]


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        kind: what is asked of the form.
        prompt: as a model reads it.
        check: whether an answer keeps to it.
    """

    kind: str
    prompt: str
    check: Check


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)


def _sentences(text: str) -> int:
    """Ends of sentences: marks before a space or the end, so that the point of 3.5 is none."""
    return len(_SENTENCE_END.findall(text)) if _words(text) else 0


def _paragraphs(text: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalpha())


def _parsed(text: str) -> object:
    bare = re.sub(r"^```(?:json)?\s*|\s*```$", "", text.strip())
    try:
        return json.loads(bare)
    except ValueError:
        return None


def _upper(draw: random.Random) -> Made:
    return "Use capital letters only.", lambda text: bool(_letters(text)) and _letters(text) == _letters(text).upper()


def _lower(draw: random.Random) -> Made:
    return (
        "Use lower-case letters only.",
        lambda text: bool(_letters(text)) and _letters(text) == _letters(text).lower(),
    )


def _at_most_words(draw: random.Random) -> Made:
    most = draw.choice((10, 20, 30, 50))
    return f"Use at most {most} words.", lambda text: 0 < len(_words(text)) <= most


def _at_least_words(draw: random.Random) -> Made:
    least = draw.choice((40, 60, 80))
    return f"Use at least {least} words.", lambda text: len(_words(text)) >= least


def _exact_words(draw: random.Random) -> Made:
    count = draw.choice((3, 5, 7))
    return f"Answer in exactly {count} words.", lambda text: len(_words(text)) == count


def _sentence_count(draw: random.Random) -> Made:
    count = draw.choice((1, 2, 3, 4))
    plural = "sentence" if count == 1 else "sentences"
    return f"Write exactly {count} {plural}.", lambda text: _sentences(text) == count


def _paragraph_count(draw: random.Random) -> Made:
    count = draw.choice((2, 3))
    return (
        f"Write exactly {count} paragraphs with a blank line between them.",
        lambda text: len(_paragraphs(text)) == count,
    )


def _bullets(draw: random.Random) -> Made:
    count = draw.choice((2, 3, 4, 5))
    return (
        f"Give exactly {count} bullet points, each on a line that begins with '- '.",
        lambda text: len(_BULLET.findall(text)) == count,
    )


def _numbered(draw: random.Random) -> Made:
    count = draw.choice((3, 4, 5))
    wanted = [str(number) for number in range(1, count + 1)]
    return f"Give a numbered list from 1 to {count}.", lambda text: _NUMBERED.findall(text) == wanted


def _no_comma(draw: random.Random) -> Made:
    return "Do not use any comma.", lambda text: bool(text.strip()) and "," not in text


def _keyword(draw: random.Random) -> Made:
    word = draw.choice(_KEYWORDS)
    return f"Use the word '{word}'.", lambda text: word in map(str.lower, _words(text))


def _keyword_twice(draw: random.Random) -> Made:
    word = draw.choice(_KEYWORDS)
    return f"Use the word '{word}' at least twice.", lambda text: list(map(str.lower, _words(text))).count(word) >= 2


def _forbidden(draw: random.Random) -> Made:
    word = draw.choice(("the", "and", "is", "of"))
    return (
        f"Do not use the word '{word}'.",
        lambda text: bool(_words(text)) and word not in map(str.lower, _words(text)),
    )


def _without_letter(draw: random.Random) -> Made:
    letter = draw.choice(("z", "q", "k", "w"))
    return f"Do not use the letter '{letter}'.", lambda text: bool(text.strip()) and letter not in text.lower()


def _begins(draw: random.Random) -> Made:
    word = draw.choice(("Indeed", "Once", "Perhaps", "Today"))
    return f"Begin your answer with the word '{word}'.", lambda text: _words(text)[:1] == [word]


def _ends(draw: random.Random) -> Made:
    phrase = draw.choice(("That is all.", "The end.", "So it goes."))
    return f"End your answer with '{phrase}'", lambda text: text.rstrip().endswith(phrase)


def _quoted(draw: random.Random) -> Made:
    return (
        "Put your whole answer in double quotation marks.",
        lambda text: len(text.strip()) > 2 and text.strip()[0] in '"“' and text.strip()[-1] in '"”',
    )


def _titled(draw: random.Random) -> Made:
    return (
        "Begin with a title in double angle brackets, such as <<title>>.",
        lambda text: re.match(r"\s*<<[^<>\n]+>>", text) is not None,
    )


def _object(draw: random.Random) -> Made:
    keys = draw.choice((("title", "text"), ("name", "reason"), ("topic", "note")))
    return (
        f"Answer with one JSON object that has exactly the keys '{keys[0]}' and '{keys[1]}', and nothing else.",
        lambda text: _has_keys(_parsed(text), keys),
    )


def _has_keys(value: object, keys: Sequence[str]) -> bool:
    return isinstance(value, dict) and set(value) == set(keys)


def _array(draw: random.Random) -> Made:
    count = draw.choice((2, 3, 4))
    return (
        f"Answer with a JSON array of exactly {count} strings, and nothing else.",
        lambda text: _is_strings(_parsed(text), count),
    )


def _is_strings(value: object, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(isinstance(each, str) for each in value)


def _yes_no(draw: random.Random) -> Made:
    return "Answer with 'yes' or 'no' and nothing else.", lambda text: text.strip().strip(".").lower() in ("yes", "no")


def _question(draw: random.Random) -> Made:
    return "Answer with a question.", lambda text: text.rstrip().endswith("?")


def _heading(draw: random.Random) -> Made:
    return (
        "Use at least two Markdown headings, each on a line that begins with '## '.",
        lambda text: len(re.findall(r"^## \S", text, re.MULTILINE)) >= 2,
    )


def _bold(draw: random.Random) -> Made:
    return (
        "Mark at least one phrase in bold with two asterisks on each side.",
        lambda text: re.search(r"\*\*[^*\n]+\*\*", text) is not None,
    )


def _table(draw: random.Random) -> Made:
    return (
        "Answer with a Markdown table of two columns.",
        lambda text: _TABLE.search(text) is not None,
    )


def _postscript(draw: random.Random) -> Made:
    return (
        "Close with a postscript that begins with 'P.S.'",
        lambda text: _POSTSCRIPT.search(text) is not None,
    )


def _same_letter(draw: random.Random) -> Made:
    letter = draw.choice(_LETTERS)
    return (
        f"Answer in three words that all begin with the letter '{letter}'.",
        lambda text: [word[0].lower() for word in _words(text)] == [letter] * 3,
    )


def _digits(draw: random.Random) -> Made:
    return "Use at least one number written in digits.", lambda text: any(each in string.digits for each in text)


def _no_digits(draw: random.Random) -> Made:
    return (
        "Do not use digits.",
        lambda text: bool(text.strip()) and not any(character in string.digits for character in text),
    )


def _separated(draw: random.Random) -> Made:
    return (
        "Give two different answers with a line of six asterisks (******) between them.",
        lambda text: _differ([part.strip() for part in _SIX.split(text)]),
    )


def _differ(parts: Sequence[str]) -> bool:
    return len(parts) == 2 and all(parts) and parts[0] != parts[1]


KINDS: dict[str, Callable[[random.Random], Made]] = {
    "all-capitals": _upper,
    "lower-case": _lower,
    "most-words": _at_most_words,
    "least-words": _at_least_words,
    "exact-words": _exact_words,
    "sentences": _sentence_count,
    "paragraphs": _paragraph_count,
    "bullets": _bullets,
    "numbered": _numbered,
    "no-comma": _no_comma,
    "keyword": _keyword,
    "keyword-twice": _keyword_twice,
    "forbidden-word": _forbidden,
    "forbidden-letter": _without_letter,
    "first-word": _begins,
    "last-phrase": _ends,
    "quoted": _quoted,
    "title": _titled,
    "json-object": _object,
    "json-array": _array,
    "yes-no": _yes_no,
    "question": _question,
    "headings": _heading,
    "bold": _bold,
    "table": _table,
    "postscript": _postscript,
    "alliteration": _same_letter,
    "digits": _digits,
    "no-digits": _no_digits,
    "two-answers": _separated,
}
"""Kinds of instructions by name."""


def instructions(count: int, *, seed: int = 17, kinds: Sequence[str] = tuple(KINDS)) -> list[Instruction]:
    """So many instructions, kinds in turn, topics and details drawn by the seed."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        wanted, check = KINDS[kind](draw)
        topic = draw.choice(TOPICS)
        ask = f"Is {topic} worth writing about?" if kind == "yes-no" else f"Write about {topic}."
        found.append(Instruction(kind, f"{ask} {wanted}", check))
    return found
