from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from detectors.documents import Documents
from detectors.function_words import listed_words
from detectors.skeletons import Shape, render_skeleton
from detectors.template_spans import TEMPLATE_SPANS, template_spans

LINES = st.sampled_from(
    [
        "",
        "Sure, here are 3 ideas for the party:",
        "  # The title of it",
        "> a quote of the day",
        "- **Bold:** item, and so on",
        "12. It is all.",
        "| a | b |",
        "```python",
        "Question: what is the capital of France?",
        "Answer： Paris。",
        "ＡＢ： wide",
        "Ὀδυσσεύς και η θάλασσα;",
        "x" * 70 + ": no label",
    ]
)
TEXTS = st.lists(st.one_of(LINES, st.text(max_size=40)), max_size=8).map("\n".join)


def form(text: str, shape: Shape | None = None) -> list[str]:
    """What of a text is its form."""
    (spans,) = template_spans(Documents.from_texts([text]), shape).to_pylist()
    return [text.encode()[span["start"] : span["stop"]].decode() for span in spans]


def test_form_is_what_stays_when_the_content_is_another() -> None:
    text = "Sure, here are 3 ideas for a party:\n1. Ask for games.\n2. Venue: a garden"
    assert form(text) == ["here", "are", "for", "a", ":", "1.", "2.", "Venue:"]
    other = "Recipes, here are 7 recipes for a dinner:\n1. Boil the rice.\n2. Venue: the kitchen"
    assert form(other) == form(text)


def test_marks_labels_and_fences_count_wherever_they_stand() -> None:
    text = "Hello there\nfriend\nof mine\n## Method\n> said\n- one\n| a | b |\n**Final answer:** 4\n~~~\nx: 1\n- 2\n~~~"
    assert form(text)[-7:] == ["##", ">", "-", "|", "**Final answer:**", "~~~", "~~~"]


def test_a_label_ends_with_its_colon_whatever_script_it_is_in() -> None:
    assert (
        form("Antwort: 4")[0] == "Antwort:" and form("答案：四")[0] == "答案：" and form("ＡＢ： four")[0] == "ＡＢ："
    )


def test_more_elements_and_tokens_mark_more_of_the_text() -> None:
    text = "\n".join("It is the end of the line and of all that was in it." for _ in range(5))
    assert len(form(text, Shape(1, 2))) < len(form(text)) < len(form(text, Shape(5, 40)))


def test_nulls_stay_null_and_empty_texts_have_no_form() -> None:
    found = template_spans(Documents.from_texts([None, "", "x", b"\xff\xfe: y"]))
    assert found.type == TEMPLATE_SPANS and found.null_count == 1 and not found[0].is_valid
    assert found[1].as_py() == []
    assert template_spans(Documents.from_texts([])).type == TEMPLATE_SPANS


@given(TEXTS, st.builds(Shape, st.integers(1, 4), st.integers(1, 12), st.just(4)))
def test_spans_are_in_order_apart_and_whole_characters(text: str, shape: Shape) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    (spans,) = template_spans(Documents.from_texts([raw]), shape).to_pylist()
    edges = [edge for span in spans for edge in (span["start"], span["stop"])]
    assert edges == sorted(edges) and all(span["start"] < span["stop"] for span in spans)
    for span in spans:
        raw[span["start"] : span["stop"]].decode("utf-8", "surrogatepass")
    assert not edges or 0 <= edges[0] <= edges[-1] <= len(raw)


@given(st.lists(st.one_of(st.none(), TEXTS), max_size=6), st.integers(0, 6))
def test_batches_and_slices_change_nothing(texts: list[str | None], at: int) -> None:
    whole = Documents.from_texts([text if text is None else text.encode("utf-8", "surrogatepass") for text in texts])
    at = min(at, len(texts))
    parts = [template_spans(whole.slice(0, at)), template_spans(whole.slice(at, len(texts) - at))]
    assert pa.chunked_array(parts).to_pylist() == template_spans(whole).to_pylist()


WORDS = st.lists(
    st.one_of(st.sampled_from(listed_words()["en"]), st.sampled_from(["Zebra", "quartz", "1066"])), min_size=1
)


@given(
    st.lists(WORDS.map(" ".join), min_size=1, max_size=3),
    st.builds(Shape, st.integers(1, 3), st.integers(1, 8), st.just(4)),
)
def test_of_plain_lines_the_form_is_the_skeleton_without_its_slots(lines: list[str], shape: Shape) -> None:
    text = "\n".join(lines)
    skeleton = [token for token in render_skeleton(text, shape).split() if token not in ("_", "…", "/")]
    assert [token.lower() for token in form(text, shape)] == skeleton
