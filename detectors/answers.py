"""Questions and answers brought to one spelling, so that they can be joined and compared whatever hand wrote them.

What is taken for the same, and only this: letters in either case, with or without diacritics of the Latin, Greek and
Cyrillic scripts (`Zürich`, `ZURICH`), compatibility forms (`ﬁ`, full width), punctuation and quotes, `the` anywhere and
`a` or `an` at the beginning, initials with and without dots (`U. S. A.`, `USA`; `J.R.R.`), `&` and `and`, `%` and
`percent`, digits in groups of three (`1,000`), a fraction of zeros (`5.0`), dates that name their month or are ISO 8601
(`May 3rd, 1901`, `3 May 1901`, `1901-05-03`), and a number word from zero to twenty or a round ten when it is all of an
answer. What is not sure stays different: dates in numbers (3/5/1901), units, `million`, words that mean the same.

Everything works on whole Arrow arrays; nulls stay null. Callers cut what is too long to be a question or an answer.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "NUMBER_WORDS",
    "answer_kinds",
    "as_texts",
    "normalised_answers",
    "normalised_questions",
    "text_keys",
    "word_keys",
]

_MONTHS = ("january february march april may june july august september october november december").split()
NUMBER_WORDS = dict(
    zip(
        (
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
        ).split(),
        [*range(21), *range(30, 100, 10)],
        strict=True,
    )
)
"""Zero to twenty and the round tens, and their numbers."""
_POINT, _MINUS, _GAP, _SHORT_I = "\ue000", "\ue001", "\ue002", "\ue003"
"""Stand for a decimal point, a minus sign, a gap to fill in and `й` (no `и` with a mark) while others are taken out."""
_ASKING = "what|who|where|when|how|which"
_LETTERS = (("ß", "ss"), ("æ", "ae"), ("œ", "oe"), ("ø", "o"), ("ł", "l"), ("đ", "d"), ("ð", "d"), ("ı", "i"))
_NUMBER = r"-?\d+(?:\.\d+)?"
_NAMED = "|".join(_MONTHS)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_BASE = np.uint64(0xD6E8FEB86659FD93)  # odd, so that powers stay invertible


def as_texts(column: pa.LargeBinaryArray) -> pa.LargeStringArray:
    """Bytes as text; bytes that are no UTF-8 become U+FFFD, so that nothing here has to fail."""
    try:
        view = column.view(pa.large_string())
        view.validate(full=True)
    except pa.ArrowInvalid:
        found = [None if value is None else value.decode("utf-8", "replace") for value in column.to_pylist()]
        return pa.array(found, pa.large_string())
    return view


def normalised_questions(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Questions, and sentences to complete, in their one spelling; empty where there is no word.

    Labels (`Question: `, ` Answer:`) go, and so does the gap of a cloze sentence that ends with it (`____`, `[MASK]`),
    which is then spelled as the sentence that breaks off there. A gap elsewhere stays, as `_`.
    """
    texts = pc.utf8_trim_whitespace(texts)
    texts = _replaced(texts, r"(?i)^(?:question|q)\s*:\s*", "")
    texts = _replaced(texts, r"(?i)\s+(?:answer|a)\s*:$", "")
    found = _spelled(texts)
    found = _replaced(found, rf"^({_ASKING})s ", r"\1 is ")
    return _replaced(found, r"(?: ?_)+$", "")


def normalised_answers(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Answers in their one spelling. One of symbols alone (`+`) is itself, without white space around it."""
    found = _spelled(texts)
    words = pa.array(list(NUMBER_WORDS), pa.large_string())
    digits = pa.array([str(number) for number in NUMBER_WORDS.values()], pa.large_string())
    found = pc.coalesce(pc.take(digits, pc.index_in(found, words)), found)
    return pc.if_else(pc.equal(found, ""), pc.utf8_lower(pc.utf8_trim_whitespace(texts)), found)


def _replaced(texts: pa.LargeStringArray, pattern: str, replacement: str) -> pa.LargeStringArray:
    return pc.replace_substring_regex(texts, pattern, replacement)


def _spelled(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    found = _folded(texts)
    found = _replaced(found, r"['’‘`´]+", "")
    found = _numbers(found)
    found = _dates(found)
    for _ in range(2):  # points overlap: 1.0.3
        found = _replaced(found, r"(\d)\.(\d)", rf"\1{_POINT}\2")
    found = _replaced(found, r"(^|\s)[-−](\d)", rf"\1{_MINUS}\2")
    found = _replaced(found, r"_{2,}|\[mask\]|<mask>|\[blank\]", f" {_GAP} ")
    found = _replaced(found, r"\.+", "")
    found = _replaced(found, r"\b([a-z])\+\+", r"\1plusplus")
    found = _replaced(found, r"\b([a-z])#", r"\1sharp")
    found = _replaced(found, r"\s*&\s*", " and ")
    found = _replaced(found, rf"[^\p{{L}}\p{{N}}\p{{M}}{_POINT}{_MINUS}{_GAP}]+", " ")
    found = pc.utf8_trim_whitespace(found)
    found = _replaced(found, r"\b([a-z]) ([a-z]) ([a-z])\b", r"\1\2\3")
    found = _replaced(found, r"\b([a-z]) ([a-z])\b", r"\1\2")
    found = _replaced(found, r"\bthe ", "")
    found = _replaced(found, r"^an? ", "")
    for mark, sign in ((_POINT, "."), (_MINUS, "-"), (_GAP, "_")):
        found = pc.replace_substring(found, mark, sign)
    return found


def _folded(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Lower case without diacritics. Marks of other scripts are letters of theirs and stay."""
    found = pc.utf8_lower(texts)
    if pc.all(pc.string_is_ascii(found)).as_py() is not False:
        return found
    found = pc.utf8_normalize(pc.replace_substring(pc.utf8_normalize(found, "NFC"), "й", _SHORT_I), "NFKD")
    found = pc.replace_substring(_replaced(found, r"[\x{0300}-\x{036f}]+", ""), _SHORT_I, "й")
    for letter, plain in _LETTERS:
        found = pc.replace_substring(found, letter, plain)
    return pc.utf8_normalize(found, "NFKC")


def _numbers(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    for _ in range(2):  # groups overlap: 1,234,567
        texts = _replaced(texts, r"(\d),(\d{3})\b", r"\1\2")
    texts = _replaced(texts, r"(^|[^.\d])(\d+)\.0+($|[^.\d])", r"\1\2\3")
    return _replaced(texts, r"(\d)\s*%", r"\1 percent")


def _dates(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Dates as `3 may 1901`, months that stand beside a number written out."""
    dated = np.flatnonzero(
        np.asarray(pc.fill_null(pc.match_substring_regex(texts, r"\d{4}|\d(?:st|nd|rd|th)\b"), False))
    )
    if not len(dated):
        return texts
    found = texts.take(pa.array(dated))
    for name in _MONTHS:
        short = name[:4] if name == "september" else name[:3]
        forms = rf"(?:{name[:3]}|{short})\.?"
        found = _replaced(found, rf"\b{forms},? (\d{{1,4}})\b", rf"{name} \1")
        found = _replaced(found, rf"\b(\d{{1,2}}(?:st|nd|rd|th)?,?) {forms}([ ,]|$)", rf"\1 {name}\2")
    found = _replaced(found, rf"\b(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({_NAMED}),? (\d{{4}})\b", r"\1 \2 \3")
    found = _replaced(found, rf"\b({_NAMED}) (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})\b", r"\2 \1 \3")
    found = _replaced(found, rf"\b({_NAMED}),? (\d{{4}})\b", r"\1 \2")
    for number, name in enumerate(_MONTHS, 1):
        found = _replaced(found, rf"\b(\d{{4}})-{number:02d}-(\d{{2}})(?:t[\d:.z+]+)?\b", rf"\2 {name} \1")
    found = _replaced(found, rf"\b0(\d) ({_NAMED})\b", r"\1 \2")
    return pc.replace_with_mask(texts, _mask(dated, len(texts)), found)


def _mask(places: npt.NDArray[np.int64], length: int) -> pa.BooleanArray:
    mask = np.zeros(length, np.bool_)
    mask[places] = True
    return pa.array(mask)


def answer_kinds(normalised: pa.LargeStringArray) -> pa.StringArray:
    """What kind of answer each is, by its form: a wrong answer of another kind is no temptation.

    `year` (1000 to 2099), `number` (with or without `percent`), `date` (names a month and a day or year), `truth` (yes,
    no, true, false), `quantity` (begins with a number), `name` (up to 8 words) or `text`.

    Args:
        normalised: of `normalised_answers`.
    """
    words = pc.count_substring(normalised, " ")
    conditions = [
        pc.match_substring_regex(normalised, r"^(?:1\d{3}|20\d{2})$"),
        pc.match_substring_regex(normalised, rf"^{_NUMBER}(?: percent)?$"),
        pc.match_substring_regex(normalised, rf"^(?:\d{{1,2}} )?(?:{_NAMED}) \d{{1,4}}$"),
        pc.is_in(normalised, pa.array(["yes", "no", "true", "false"], pa.large_string())),
        pc.match_substring_regex(normalised, rf"^{_NUMBER} "),
        pc.less(words, 8),
    ]
    names = ("year", "number", "date", "truth", "quantity", "name", "text")
    kinds = pc.case_when(pc.make_struct(*(pc.fill_null(each, False) for each in conditions)), *names)
    return pc.if_else(normalised.is_valid(), kinds, pa.scalar(None, pa.string()))


@cache
def _powers(size: int) -> npt.NDArray[np.uint64]:
    powers: npt.NDArray[np.uint64] = np.full(size, _BASE, np.uint64)
    powers[:1] = 1
    return np.multiply.accumulate(powers)


def word_keys(
    normalised: pa.LargeStringArray,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Keys of word sequences, so that a text is found by any run of words that it begins with.

    Args:
        normalised: texts of words between single spaces; null and empty have no words.

    Returns:
        `prefixes` uint64[words of all texts]: the key of the text up to and with each word, so the last of a text is
        its own. `offsets` int64[n + 1]: text i has the words `offsets[i]` to `offsets[i + 1]`. `hashes` uint64[words]:
        of each word alone (XXH64 of its bytes).
    """
    from detectors.content_hash import content_hashes

    lists = pc.split_pattern(pc.fill_null(normalised, ""), " ")
    words = lists.flatten().cast(pa.large_binary())
    offsets = np.asarray(lists.offsets).astype(np.int64)
    offsets -= offsets[0]
    filled = pc.not_equal(lists.flatten(), "")
    if not pc.all(filled).as_py():
        counts = np.concatenate([[0], np.cumsum(np.asarray(filled).astype(np.int64))])
        words, offsets = words.filter(filled), counts[offsets]
    if not len(words):
        none = np.zeros(0, np.uint64)
        return none, offsets, none
    spans = np.frombuffer(words.buffers()[1], np.int64, count=len(words) + 1, offset=8 * words.offset)
    data = words.buffers()[2]
    hashes = content_hashes(np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8), spans)
    first = np.repeat(offsets[:-1], np.diff(offsets))
    place = np.arange(len(hashes)) - first
    longest = int(place.max()) + 1
    running = np.cumsum(hashes * _powers(1 << (longest - 1).bit_length())[place], dtype=np.uint64)
    before = np.where(first > 0, running[first - 1], np.uint64(0))
    return _mixed((running - before) ^ (place.astype(np.uint64) * _GOLDEN)), offsets, hashes


def text_keys(normalised: pa.LargeStringArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """uint64[n], the key of all words of each text, and bool[n], False where there is none (the key is 0)."""
    prefixes, offsets, _ = word_keys(normalised)
    some = np.diff(offsets) > 0
    keys = np.zeros(len(normalised), np.uint64)
    keys[some] = prefixes[offsets[1:][some] - 1]
    return keys, some


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
