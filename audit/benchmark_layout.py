"""Which columns of a benchmark file hold the question, the options and the answer, and what a row of them says.

Benchmarks come in a few layouts, told apart by the names of their columns: a question with an answer, with a list of
options and which is right (MMLU, ARC, HellaSwag, TruthfulQA), with one column an option (WinoGrande, PIQA, Social IQa,
COPA, MedMCQA, SciQ, GPQA), a prompt with a solution (HumanEval, MBPP, MATH), or one text. Passages that questions are
about (BoolQ, SQuAD, RACE) are left out: they are older than the benchmark and stand in many texts.
"""

from __future__ import annotations

import ast
import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit.layout import TEXT_NAMES
from detectors.errors import InputError

__all__ = ["ItemLayout", "ItemText", "find_item_layout"]

Row = Mapping[str, object]
_Listed = tuple[list[str], Sequence[object], int | None]

_BENCHMARKS = ("benchmark", "task", "subset", "dataset_name")
_IDS = ("id", "task_id", "question_id", "qid", "example_id", "unique_id", "idx", "ind", "key")
_QUESTIONS = (
    *("question", "question_stem", "query", "problem", "goal", "ctx", "sentence", "premise", "prompt", "instruction"),
    *TEXT_NAMES,
)
_LISTS = ("choices", "options", "endings", "candidates", "mc1_targets")
_ANSWERS = (
    *("answer", "answerkey", "answer_key", "label", "gold", "target", "cop", "canonical_solution", "solution", "code"),
    *("best_answer", "correct_answer", "correct answer", "answers", "output", "response", "completion"),
)
_WORKINGS = ("solution",)
_ANSWER_LINE = re.compile(r"^[ \t]*Answer[ \t]*:[ \t]*(?:\(?[A-Z][.)][ \t]*)?", re.MULTILINE)


@dataclass(frozen=True)
class _Options:
    """Options in one column each, as one benchmark has them.

    Attributes:
        columns: lower case, in order; of those from the third on some may be absent.
        first: number of the first option in the answer column; None: the first is right in every row.
        question: columns that the question is made of; empty: as in other layouts.
    """

    columns: tuple[str, ...]
    first: int | None = 0
    question: tuple[str, ...] = ()


_COLUMNS = (
    _Options(tuple(f"option{i}" for i in range(1, 6)), 1),
    _Options(("answera", "answerb", "answerc"), 1, ("context", "question")),
    _Options(("sol1", "sol2")),
    _Options(("choice1", "choice2"), 0, ("premise",)),
    _Options(("opa", "opb", "opc", "opd")),
    _Options(("ending0", "ending1", "ending2", "ending3")),
    _Options(("correct_answer", "distractor1", "distractor2", "distractor3"), None),
    _Options(("correct answer", "incorrect answer 1", "incorrect answer 2", "incorrect answer 3"), None),
    _Options(tuple("abcdefghij")),
)


@dataclass(frozen=True)
class ItemText:
    """The three parts of an item; any may be empty.

    Attributes:
        question: what is asked.
        between: options, lettered, and what leads to the answer.
        answer: what is right: of multiple choice the text of that option.
        is_unresolved: whether the row names an option that there is not.
    """

    question: str
    between: str
    answer: str
    is_unresolved: bool = False


@dataclass(frozen=True)
class ItemLayout:
    """The columns of a file that make up its items.

    Attributes:
        question: columns of the question, in order.
        options: the column that holds a list of options, or one column an option; empty where there are none.
        first: number of the first option; None where the first option is right.
        answer: column of the answer, None where there is none.
        working: column of the way to the answer, None where there is none.
        benchmark: column of the benchmark's name, None where there is none.
        id: column of the item's name, None where there is none.
    """

    question: tuple[str, ...]
    options: tuple[str, ...] = ()
    first: int | None = 0
    answer: str | None = None
    working: str | None = None
    benchmark: str | None = None
    id: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        named = (self.answer, self.working, self.benchmark, self.id)
        return tuple(dict.fromkeys((*self.question, *self.options, *(name for name in named if name is not None))))

    def text(self, row: Row) -> ItemText:
        """What a row says.

        Raises:
            InputError: a column does not hold what its name promises.
        """
        given = None if self.answer is None else row[self.answer]
        asked = row[self.question[0]]
        if isinstance(asked, dict) and "stem" in asked:  # question and options in one, as AI2 publishes them
            return _choice(_text(asked["stem"], "stem"), _listed(asked.get("choices"), "choices"), given, 0)
        question = "\n".join(part for name in self.question if (part := _text(row[name], name)))
        if len(self.options) == 1:
            return _choice(question, _listed(row[self.options[0]], self.options[0]), given, self.first or 0)
        if self.options:
            texts = [text for name in self.options if (text := _text(row[name], name))]
            return _choice(question, (texts, (), 0 if self.first is None else None), given, self.first or 0)
        if self.answer is None:
            return _split(question) if self.question[0].lower() in TEXT_NAMES else ItemText(question, "", "")
        if self.answer.lower() == "label" and not isinstance(given, str | bytes):
            return ItemText(question, "", "")  # a class without a name
        working = "" if self.working is None else _text(row[self.working], self.working)
        return ItemText(question, working, _text(given, self.answer))


def find_item_layout(names: Sequence[str], uri: str) -> ItemLayout:
    """Choose the layout by column names, which may be in upper or lower case.

    Raises:
        InputError: no column that could be a question.
    """
    lower = {name.lower(): name for name in reversed(names)}

    def first(wanted: Sequence[str]) -> str | None:
        return next((lower[name] for name in wanted if name in lower), None)

    listed = first(_LISTS)
    split = next((one for one in _COLUMNS if all(name in lower for name in one.columns[:2])), None)
    if split is not None and listed is None:
        options = tuple(lower[name] for name in split.columns if name in lower)
        asked = tuple(lower[name] for name in split.question if name in lower)
        numbers = split.first
    else:
        options, asked, numbers = (() if listed is None else (listed,)), (), 0
    question = first(_QUESTIONS)
    if not asked and question is not None:
        also = [lower[name] for name in ("hypothesis",) if question.lower() == "premise" and name in lower]
        asked = (question, *also)
    if not asked:
        has = ", ".join(list(names)[:12]) + (", ..." if len(names) > 12 else "")
        raise InputError(
            f"{uri}: no column holds a benchmark's items (has: {has or 'none'}). Name the columns question and answer, "
            "question, choices and answer, or text."
        )
    answer = first([name for name in _ANSWERS if lower.get(name) not in (*asked, *options)])
    working = first([name for name in _WORKINGS if not options and lower.get(name) not in (*asked, answer)])
    return ItemLayout(asked, options, numbers, answer, working, first(_BENCHMARKS), first(_IDS))


def _text(value: object, name: str) -> str:
    """A value as words: of a list the first, of a struct its text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return _text(value[0], name) if value else ""
    if isinstance(value, dict):
        for key in ("text", "value", "content"):
            if key in value:
                return _text(value[key], name)
        raise InputError(f"column {name!r} holds {', '.join(map(str, value))}, not text. Write the text in its place.")
    return ""


def _listed(value: object, name: str) -> _Listed:
    """The options, their labels, and the right one where the list itself says so."""
    if isinstance(value, str | bytes):
        value = _parsed(_text(value, name), name)
    if isinstance(value, dict):
        texts = value.get("text", value.get("choices"))
        labels = value.get("label", value.get("labels", ()))
        if not isinstance(texts, list) or not isinstance(labels, list | tuple):
            raise InputError(f"column {name!r} holds {', '.join(map(str, value))}, not options. Write a list of texts.")
        is_marked = "choices" in value and 1 in labels
        return [_text(text, name) for text in texts], labels, labels.index(1) if is_marked else None
    if isinstance(value, list):
        labels = [entry.get("label") for entry in value if isinstance(entry, dict)]
        return [_text(text, name) for text in value], labels, None
    if value is None:
        return [], (), None
    raise InputError(f"column {name!r} holds {type(value).__name__}, not a list of options. Write a list of texts.")


def _parsed(text: str, name: str) -> object:
    """A list that was written as text, in JSON or as Python writes it: how CSV files have it."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise InputError(f"column {name!r} holds {text[:40]!r}, not a list of options. Write it as JSON.")


def _choice(question: str, listed: _Listed, given: object, first: int) -> ItemText:
    """An item whose answer is one of the options that are listed."""
    texts, labels, right = listed
    if right is None:
        right = _place(given, texts, labels, first)
    letters = string.ascii_uppercase
    lines = [f"{letters[i]}. {text}" if i < len(letters) else text for i, text in enumerate(texts)]
    between = "\n".join([*lines, "Answer:"]) if lines else ""
    if right is not None and 0 <= right < len(texts):
        return ItemText(question, between, texts[right])
    said = _text(given, "answer")
    is_hidden = said in ("", "-1")
    is_name = len(said) < 2 or _number(said) is not None  # a letter, a number: of an option that there is not
    return ItemText(question, between, "" if is_name else said, is_name and not is_hidden)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def _place(given: object, texts: Sequence[str], labels: Sequence[object], first: int) -> int | None:
    """Which option the answer names: by its label, its text, its letter or its number."""
    if given is None or isinstance(given, bool):
        return None
    said = _text(given, "answer")
    known = [_text(label, "label") for label in labels]
    for names in (known, [] if isinstance(given, int) else list(texts)):
        if said and said in names:
            return names.index(said)
    if len(said) == 1 and said.upper() in string.ascii_uppercase:
        return string.ascii_uppercase.index(said.upper())
    number = int(given) if isinstance(given, int | float) else _number(said)
    return None if number is None else (-1 if number < first else number - first)


def _split(text: str) -> ItemText:
    """A text at the last line that begins with `Answer:`; the letter of an option is no part of the answer."""
    lines = list(_ANSWER_LINE.finditer(text))
    if not lines:
        return ItemText("", text, "")
    found = lines[-1]
    answer = text[found.end() :].strip()
    if len(answer) < 2 and answer.isalpha():  # the letter alone
        return ItemText(text[: found.start()], text[found.start() :], "")
    return ItemText(text[: found.start()], text[found.start() : found.end()], answer)
