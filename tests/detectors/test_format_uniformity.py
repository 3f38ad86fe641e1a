"""The form of documents: skeletons and counts against a slow reference, and what leaves a skeleton as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.errors import ConfigError
from detectors.format_uniformity import FormatUniformity
from detectors.function_words import listed_words
from detectors.protocols import Device
from detectors.skeletons import COUNTS, Shape, masked_words, render_edges, render_skeleton

SHAPE = Shape()
STOPS = {".": ".", "…": ".", "。": ".", "।": ".", "．": ".", "!": "!", "！": "!", "?": "?", "？": "?", "؟": "?"}
STOPS |= {":": ":", "：": ":", ";": ";", "；": ";", "؛": ";"}
MARKERS = {"text": "", "heading": "#", "quote": ">", "bullet": "-", "number": "1.", "table": "|", "fence": "```"}
KINDS = [
    ("number", r"[0-9]{1,3}[.)](?=[\t-\r ]|\Z)"),
    ("bullet", r"[-*+](?=[\t-\r ])|[•●]"),
    ("heading", r"#{1,6}(?=[\t-\r ]|\Z)"),
    ("quote", r">"),
    ("table", r"\|"),
    ("fence", r"```.*|~~~.*"),
]


@dataclass
class Reference:
    """What a text comes to, worked out letter by letter."""

    skeleton: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))


def reference(text: str, shape: Shape = SHAPE) -> Reference:
    """The form of a text; only where words begin and end is taken from the code under test."""
    words = spans(text)
    kept = kept_words(text, words)
    found, elements, before, fenced, asked = Reference(), 0, "", False, False
    counts = found.counts
    for match in re.finditer(r"[^\n]+", text):
        line = match[0].strip("\t\n\v\f\r ")
        if not line:
            continue
        first = match.start() + match[0].index(line)
        last = first + len(line)
        counts["lines"] += 1
        kind, begin = "text", first
        for name, pattern in KINDS:
            if marker := re.match(pattern, line, re.DOTALL):
                kind, begin = name, first + marker.end()
                break
        if fenced or kind == "fence":
            counts["code_lines"] += 1
            opens, fenced = kind == "fence" and not fenced, fenced != (kind == "fence")
            if not opens:
                continue
        else:
            content = text[begin:last]
            for name in ("bullet", "number", "heading", "table"):
                counts[f"{name}_lines"] += kind == name
            counts["bold_lines"] += bool(re.match(r"[\t-\r ]*(\*\*|__)[^\t-\r ]", content))
            counts["label_lines"] += has_label(content)
            asks = bool(re.search(r"[?？؟][\"')*_]*\Z", text[first:last]))
            asks = asks and bool(re.search(r"[?？؟][\"')*_]*\Z", content))
            counts["question_lines"] += asks
            counts["answered_questions"] += asked and not asks
            asked = asks
        if elements == shape.elements or (kind == before and kind in ("bullet", "number", "table")):
            continue
        before, elements = kind, elements + 1
        tokens = line_tokens(text, begin, last, words, kept) if kind in ("text", "heading", "quote") else []
        if len(tokens) > shape.tokens:
            tokens = [*tokens[: shape.tokens], "…", ending(text, begin, last, words, kept)]
        found.skeleton += [*(["/"] if found.skeleton or elements > 1 else []), *filter(None, [MARKERS[kind]]), *tokens]
    return found


def has_label(content: str) -> bool:
    """A label of at most 32 bytes, as the kernel counts them."""
    match = re.match(r"[ *_]*([^ *_:：][^:：]*)(：|:[*_]*(?=[\t-\r ]|\Z))", content)
    if not match or len(match[1].encode()) >= 32 or match[1].count(" ") > 1:
        return False
    return all(ord(c) >= 128 or c.isalnum() or c in " *_" for c in match[1])


def spans(text: str) -> list[tuple[int, int]]:
    words = Documents.from_texts([text]).words
    place = np.zeros(len(text.encode()) + 1, np.int64)
    place[np.cumsum([0, *(len(c.encode()) for c in text)])] = np.arange(len(text) + 1)
    return [(int(place[a]), int(place[b])) for a, b in zip(words.start.tolist(), words.end.tolist(), strict=True)]


def kept_words(text: str, words: list[tuple[int, int]]) -> list[bool]:
    """Which words a skeleton keeps."""
    folded = [text[a:b].lower().replace("’", "'") for a, b in words]
    looked = folded[:32]
    hits = {language: sum(word in listed for word in looked) for language, listed in listed_words().items()}
    most = max(hits.values())
    if len(looked) >= 16 and most * 16 < len(looked):
        return [len(word) <= 3 and not ("0" <= word[0] <= "9") for word in folded]
    languages = [listed for language, listed in listed_words().items() if hits[language] == most]
    return [any(word in listed for listed in languages) for word in folded]


def line_tokens(text: str, begin: int, last: int, words: list[tuple[int, int]], kept: list[bool]) -> list[str]:
    tokens: list[str] = []
    at = begin
    inside = [(a, b, keep) for (a, b), keep in zip(words, kept, strict=True) if begin <= a < last]
    for a, b, keep in [*inside, (last, last, False)]:
        for place in range(at, a):
            stop = STOPS.get(text[place])
            attached = a < last and place + 1 == a and text[place] in ".!?:;"
            if stop and not attached and tokens[-1:] != [stop]:
                tokens.append(stop)
        if a < last:
            word = text[a:b].lower() if keep else "_"
            if word != "_" or tokens[-1:] != ["_"]:
                tokens.append(word)
        at = b
    return tokens


def ending(text: str, begin: int, last: int, words: list[tuple[int, int]], kept: list[bool]) -> str:
    inside = [(a, b, keep) for (a, b), keep in zip(words, kept, strict=True) if begin <= a < last]
    a, b, keep = inside[-1] if inside else (begin, begin, False)
    stops = [STOPS[c] for c in text[b:last] if c in STOPS]
    return stops[-1] if stops else (text[a:b].lower() if keep else "_")


def measured(*texts: str, signal: FormatUniformity | None = None) -> list[dict[str, int]]:
    rows: list[dict[str, int]] = (
        (signal or FormatUniformity()).load(Device.CPU)(Documents.from_texts(list(texts))).to_pylist()
    )
    return rows


def skeletons(*texts: str) -> list[int]:
    return [row["skeleton"] for row in measured(*texts)]


WORDS = "the of is a I not Paris green cat 3 12 1500 der und ja que 的 猫 été don't C Q: Answer:".split()
MARKS = ["。", "？", "：", "؟", ". ", ".", "! ", "? ", ": ", ":", "; ", ", ", "…", '"', ")", "**", "__", "-", "#", "1."]
BREAKS = [
    "\n",
    "\n\n",
    "\n- ",
    "\n* ",
    "\n1. ",
    "\n2) ",
    "\n# ",
    "\n####### ",
    "\n> ",
    "\n| ",
    "\n```\n",
    "\n~~~",
    "\r\n",
    "• ",
]
PIECES = st.sampled_from([*WORDS, *MARKS, *BREAKS, *[" "] * 12, "\t"])
TEXTS = st.lists(PIECES, max_size=60).map("".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_skeletons_and_counts_are_those_of_the_reference(text: str) -> None:
    expected = reference(text)
    assert render_skeleton(text, SHAPE).split() == expected.skeleton
    row = measured(text)[0]
    assert {name: row[name] for name in COUNTS} == expected.counts


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=5), st.integers(1, 4), st.integers(1, 5))
def test_hashes_are_equal_where_skeletons_are_and_only_there(texts: list[str], elements: int, tokens: int) -> None:
    shape = Shape(elements, tokens)
    rows = measured(*texts, signal=FormatUniformity(elements=elements, tokens=tokens))
    known = [(text, row) for text, row in zip(texts, rows, strict=True) if row["words"]]
    for text, row in known:
        for other, another in known:
            same = reference(text, shape).skeleton == reference(other, shape).skeleton
            assert (row["skeleton"] == another["skeleton"]) == same
            for end, name in enumerate(("opening", "closing")):
                same = render_edges(text, shape)[end] == render_edges(other, shape)[end]
                assert (row[name] == another[name]) == same


def test_content_names_and_numbers_do_not_show() -> None:
    one, two, three = skeletons(
        "The capital of France is Paris, and it has 2.1 million people.",
        "The capital of Burkina Faso is “Ouagadougou” and it has 3 million people!"[:-1] + ".",
        "The capital of Peru was Lima, and it has 11 million people.",
    )
    assert one == two != three


def test_number_and_length_of_list_items_do_not_show() -> None:
    one, two, bullets = skeletons(
        "Here are some ideas:\n1. Run\n2. Walk far away",
        "Here are some thoughts:\n\n1. Swim.\n2. Sit\n3. Sing",
        "Here are some ideas:\n- Run\n- Walk",
    )
    assert one == two != bullets


def test_only_the_first_elements_make_a_skeleton() -> None:
    one, two = skeletons("# A title\nGreen lines.\nAnother of the lines.", "# A name\nBlue line.\n- and a list")
    assert one == two


def test_languages_keep_their_own_function_words_alone() -> None:
    assert render_skeleton("Die Katze war auf dem Dach.", SHAPE) == "die _ war auf dem _ ."
    assert render_skeleton("They die in a war for us.", SHAPE) == "they _ in a _ for us ."


def test_unknown_languages_keep_short_words() -> None:
    text = "umntu ngu mntu ngo bantu aba kwi lizwe eli kho khulu ndi xya bona uku zee bha"
    assert render_skeleton(text, Shape(1, 30)) == "_ ngu _ ngo _ aba kwi _ eli kho _ ndi xya _ uku zee bha"


def test_edges_are_masked_first_and_last_words() -> None:
    assert render_edges("As an expert I know that cats purr at night", SHAPE) == ("as an _ i", "_ _ at _")
    assert render_edges("Yes", SHAPE) == ("yes", "yes")
    assert render_edges("", SHAPE) == ("", "")


def test_masked_words_are_zero_where_content_stands() -> None:
    masked = masked_words(Documents.from_texts(["the zebra of Zanzibar"]))
    assert (masked == 0).tolist() == [False, True, False, True]


def test_texts_without_words_have_counts_and_no_hashes() -> None:
    row = measured("***\n\n---")[0]
    assert (row["lines"], row["words"]) == (2, 0)
    assert [row[name] for name in ("skeleton", "opening", "closing", "content")] == [None] * 4


def test_content_is_equal_for_equal_words_alone() -> None:
    one, two, three = (row["content"] for row in measured("A cat, a dog.", "a cat\na dog", "a dog a cat"))
    assert one == two != three


def test_the_response_is_measured_where_rows_have_one() -> None:
    batch = pa.record_batch({"text": [b"Q?\n\nThe cat."], "response": [b"The cat."]})
    found = FormatUniformity().load(Device.CPU)(Documents(batch)).to_pylist()
    assert found == measured("The cat.")


def test_pieces_of_a_long_document_add_up() -> None:
    signal = FormatUniformity()
    pieces = signal.load(Device.CPU)(
        Documents.from_texts(["   ", "The cat is here.\n- one", "the end of it\n- two\n", ""])
    )
    rows, (whole,) = pieces.to_pylist(), signal.combine(pieces, [0, 3, 20, 40]).to_pylist()
    assert whole["lines"] == 4 and whole["bullet_lines"] == 2 and whole["words"] == sum(row["words"] for row in rows)
    assert (whole["skeleton"], whole["opening"]) == (rows[1]["skeleton"], rows[1]["opening"])
    assert whole["closing"] == rows[2]["closing"]
    swapped = signal.combine(pieces.take(pa.array([0, 2, 1, 3])), [0, 3, 20, 40]).to_pylist()[0]
    assert whole["content"] not in (None, rows[1]["content"], swapped["content"])


def test_format_keeps_the_contract_of_a_signal() -> None:
    check_signal(FormatUniformity())
    check_signal(FormatUniformity(elements=1, tokens=1, edge_words=1))


@pytest.mark.parametrize("settings_", [{"elements": 0}, {"tokens": 1000}, {"edge_words": -1}])
def test_settings_outside_their_range_are_refused(settings_: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings_))):
        FormatUniformity(**settings_)


def test_every_listed_word_is_one_word_in_lower_case() -> None:
    for language, words in listed_words().items():
        found = Documents.from_texts([" ".join(words)]).words
        assert len(found) == len(words), language
        assert [word.lower() for word in words] == list(words), language
