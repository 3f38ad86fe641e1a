"""Plain-Python definitions of what the kernels compute: slow, obvious, and written without looking at the tables.

They are asked for one thing: which code points a newer Python alone may know.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from detectors.unicode_classes import OTHER, class_table, tables_version

MASK = 2**64 - 1
SINGLE_NAMES = (
    "CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA ", "KATAKANA ", "KATAKANA-HIRAGANA ",
    "HALFWIDTH KATAKANA", "HENTAIGANA", "IDEOGRAPHIC ITERATION", "IDEOGRAPHIC CLOSING", "IDEOGRAPHIC NUMBER ZERO",
    "VERTICAL IDEOGRAPHIC ITERATION", "HANGZHOU NUMERAL", "MASU MARK",
    "THAI ", "LAO ", "MYANMAR ", "KHMER ", "TAI LE ", "NEW TAI LUE ", "TAI THAM ", "TAI VIET ",
)  # fmt: skip
FULL_STOPS = set("।॥؟۔。！？．｡։።፧។៕‼⁇⁈⁉‽၊။᠃᠉།܀܁܂؝؞᙮፨﹒﹖﹗")
EMOJI_BELOW_1F000 = set(
    "⌚⌛⏩⏪⏫⏬⏰⏳◽◾☔☕♈♉♊♋♌♍♎♏♐♑♒♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓❔❕❗➕➖➗➰➿⬛⬜⭐⭕"
)


@dataclass(frozen=True)
class Word:
    start: int
    """First byte."""
    text: str
    folded: str
    new_sentence: bool
    capital: bool


def is_later(c: str) -> bool:
    """Whether only a newer Unicode than that of the stored tables, which this Python has, may know a code point."""
    return unicodedata.unidata_version != tables_version() and class_table()[ord(c)] == OTHER


def kind(c: str) -> str:
    code, category = ord(c), unicodedata.category(c)
    if is_later(c):
        return "other"
    if c in "'’":
        return "apostrophe"
    if c in ".…":
        return "period"
    if c in "!?":
        return "exclamation"
    if c in FULL_STOPS:
        return "full stop"
    if c in "\n\v\f\x85\u2028\u2029":
        return "newline"
    if category == "Zs" or c in "\t\r\x1c\x1d\x1e\x1f\u200b":
        return "space"
    if 0x1F1E6 <= code <= 0x1F1FF:
        return "regional"
    if 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F or c in "ﾞﾟ":
        return "mark"
    if category == "Cf" or "VARIATION SELECTOR" in unicodedata.name(c, ""):
        return "ignored"
    if category[0] == "M":
        return "mark"
    if (category[0] == "L" or category == "Nl") and unicodedata.name(c, "").startswith(SINGLE_NAMES):
        return "single"
    if category in ("Lu", "Lt"):
        return "upper"
    if category == "Ll":
        return "lower"
    if category[0] in "LN":
        return "letter"
    if c in EMOJI_BELOW_1F000 or (category in ("So", "Sm", "Pd") and 0x1F000 <= code <= 0x1FAFF):
        return "emoji"
    return "symbol" if category in ("So", "Sm", "Pd") and code >= 0x80 else "other"


def fold(c: str) -> str:
    if c == "ς":
        return "σ"
    if c == "’":
        return "'"
    return c.lower() if len(c.lower()) == 1 and not is_later(c) else c


def hash_word(folded: str) -> int:
    raw = folded.encode()
    state = 0x9E3779B97F4A7C15
    for i in range(0, len(raw), 8):
        state = (state ^ int.from_bytes(raw[i : i + 8], "little")) * 0xD6E8FEB86659FD93 & MASK
        state ^= state >> 32
    state = state * 0xFF51AFD7ED558CCD & MASK
    return state ^ state >> 32


def segment(data: bytes) -> list[Word]:
    text = data.decode("utf-8", "surrogateescape")
    kinds = ["other" if 0xD800 <= ord(c) <= 0xDFFF else kind(c) for c in text]
    joining = ("letter", "lower", "upper")

    def at(i: int) -> str:
        return kinds[i] if i < len(kinds) else "end"

    def pictured(i: int) -> bool:
        return at(i) == "emoji" or (at(i) == "symbol" and text[i + 1 : i + 2] == "\ufe0f")

    words: list[Word] = []
    gap: list[str] = ["full stop"]
    byte = i = 0
    while i < len(text):
        first, j = kinds[i], i + 1
        if first in joining:
            while at(j) in (*joining, "mark", "ignored") or (at(j) == "apostrophe" and at(j + 1) in joining):
                j += 1
        elif first in ("single", "regional") or pictured(i):
            if first == "regional" and at(j) == "regional":
                j += 1
            while at(j) in ("mark", "ignored") or (
                first in ("emoji", "symbol") and text[j - 1] == "\u200d" and pictured(j)
            ):
                j += 1
        else:
            gap.append(first)
            byte += len(text[i].encode("utf-8", "surrogateescape"))
            i += 1
            continue
        part = text[i:j]
        folded = "".join(fold(c) for c, k in zip(part, kinds[i:j], strict=True) if k != "ignored")
        after_initial = bool(words) and words[-1].capital and len(words[-1].text) == 1
        words.append(Word(byte, part, folded, starts_sentence(gap, first, after_initial), first == "upper"))
        gap = []
        byte += len(part.encode())
        i = j
    return words


def starts_sentence(gap: list[str], first: str, after_initial: bool) -> bool:
    if "full stop" in gap or gap.count("newline") > 1:
        return True
    if first == "lower":
        return False
    if "newline" in gap:
        return True
    stops = [i for i, k in enumerate(gap) if k in ("period", "exclamation")]
    if not stops or "space" not in gap[stops[0] :]:
        return False
    return not after_initial or "exclamation" in gap


def ttr(words: Sequence[object]) -> float:
    return len(set(words)) / len(words)


def mattr(words: Sequence[object], window: int) -> float:
    return math.fsum(ttr(words[i : i + window]) for i in range(len(words) - window + 1)) / (len(words) - window + 1)


def mtld_one_way(words: Sequence[object], threshold: float) -> float:
    factors, seen, start = 0.0, set(), 0
    for i, word in enumerate(words):
        seen.add(word)
        ratio = len(seen) / (i + 1 - start)
        if ratio <= threshold:
            factors, seen, start = factors + 1, set(), i + 1
    if start < len(words):
        factors += (1 - ratio) / (1 - threshold)
    return len(words) / (factors or 1)


def mtld(words: Sequence[object], threshold: float) -> float:
    return (mtld_one_way(words, threshold) + mtld_one_way(words[::-1], threshold)) / 2


def hdd(words: Sequence[object], draws: int) -> float:
    n = len(words)
    absent = [math.comb(n - f, draws) / math.comb(n, draws) for f in Counter(words).values()]
    return math.fsum(1 - p for p in absent) / draws


def yule_k(words: Sequence[object]) -> float:
    n = len(words)
    return 1e4 * (sum(f * f for f in Counter(words).values()) / n**2 - 1 / n)


def hapax_share(words: Sequence[object]) -> float:
    counts = Counter(words)
    return sum(f == 1 for f in counts.values()) / len(counts)


def zipf_slope(words: Sequence[object]) -> float | None:
    counts = sorted(Counter(words).values(), reverse=True)
    if counts[0] == counts[-1]:
        return None
    xs, ys = [math.log(rank) for rank in range(1, len(counts) + 1)], [math.log(count) for count in counts]
    x, y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    return math.fsum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / math.fsum((a - x) ** 2 for a in xs)


def characters(data: bytes) -> dict[str, float | None]:
    text = "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in data.decode("utf-8", "surrogateescape"))
    counts, words = Counter(text), segment(data)
    white = sum(kind(c) in ("space", "newline") for c in text)
    upper, lower = sum(kind(c) == "upper" for c in text), sum(kind(c) == "lower" for c in text)

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    shares = [n / len(text) for n in counts.values()]
    return {
        "characters": len(text),
        "entropy": -math.fsum(p * math.log2(p) for p in shares) if text else None,
        "upper_share": share(upper, upper + lower),
        "capitalised_share": share(sum(word.capital for word in words), len(words)),
        "punctuation_share": share(sum(unicodedata.category(c)[0] == "P" for c in text), len(text) - white),
        "digit_share": share(sum("0" <= c <= "9" for c in text), len(text) - white),
        "space_share": share(white, len(text)),
        "non_ascii_share": share(sum(c > "\x7f" for c in text), len(text)),
    }


def ngrams(words: Sequence[object], n: int) -> dict[tuple[object, ...], list[int]]:
    found: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i in range(len(words) - n + 1):
        found[tuple(words[i : i + n])].append(i)
    return found


def distinct(words: Sequence[object], n: int) -> float:
    return len(ngrams(words, n)) / (len(words) - n + 1)


def covered(lengths: Sequence[int], positions: Sequence[int], n: int) -> float:
    marked = {i + k for i in positions for k in range(n)}
    return sum(lengths[i] for i in marked) / sum(lengths)


def duplicate_share(words: Sequence[object], lengths: Sequence[int], n: int) -> float:
    return covered(lengths, [i for at in ngrams(words, n).values() if len(at) > 1 for i in at], n)


def top_share(words: Sequence[object], lengths: Sequence[int], n: int) -> float:
    repeated = [at for at in ngrams(words, n).values() if len(at) > 1]
    if not repeated:
        return 0.0
    return covered(lengths, max(repeated, key=lambda at: (len(at), sum(lengths[at[0] : at[0] + n]), -at[0])), n)


def line_repetition(data: bytes) -> tuple[float, float] | None:
    lines = [line for line in (raw.strip(b" \t\n\v\f\r") for raw in data.split(b"\n")) if line]
    again = [line for i, line in enumerate(lines) if line in lines[:i]]
    return (len(again) / len(lines), sum(map(len, again)) / sum(map(len, lines))) if lines else None


def sentence_lengths(words: Sequence[Word]) -> list[int]:
    starts = [i for i, word in enumerate(words) if word.new_sentence]
    return [b - a for a, b in itertools.pairwise([*starts, len(words)])]
