"""Nothing from data becomes markup, whatever it says."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.report.markup import el, number, written
from audit.report.visible import one_line, visible
from tests.hostile import ACTING, PAYLOADS

ANY = st.text(max_size=60) | st.sampled_from((*PAYLOADS, "\ud800 lone", "a\r\nb"))


class Seen(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Seen:
    seen = Seen()
    seen.feed(page)
    seen.close()
    return seen


@given(ANY, ANY)
def test_any_text_and_attribute_comes_back_as_it_went_in(text: str, label: str) -> None:
    seen = read(written(el("p", el("span", text, aria_label=label), text)))
    assert seen.tags == ["p", "span"]
    assert seen.text == 2 * visible(text)
    assert seen.attributes == [("aria-label", visible(label).replace("\n", " "))]


@given(ANY)
def test_shown_text_holds_no_character_that_acts(text: str) -> None:
    shown = visible(text)
    assert not set(shown) & set(ACTING)
    shown.encode("utf-8")
    assert visible(shown) == shown and "\n" not in one_line(text)


def test_letters_of_every_script_and_joined_emoji_stay() -> None:
    text = "été 漢字 ไทย فارسی‌ها 👩‍👧 क्ष\tx\ny"
    assert visible(text) == text


@pytest.mark.parametrize("tag", ["script", "iframe", "object", "img", "style", "link", "SCRIPT", "a b", "x><script"])
def test_an_element_that_could_run_or_fetch_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="element"):
        el(tag)


@pytest.mark.parametrize(
    "attributes",
    [
        {"onload": "x"},
        {"onclick": ""},
        {"href": "javascript:x"},
        {"href": "https://example.org"},
        {"href": "#A b"},
        {"src": "x.png"},
        {"style": "color:red"},
        {"srcdoc": "x"},
    ],
)
def test_an_attribute_that_could_run_or_fetch_is_refused(attributes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="attribute"):
        el("a", **attributes)


def test_none_and_false_attributes_are_left_out_and_true_ones_have_no_value() -> None:
    assert written(el("details", open=True, hidden=False, id=None)) == '<details open=""></details>'


@given(st.floats(-1e6, 1e6))
def test_coordinates_have_no_exponent(value: float) -> None:
    assert abs(float(number(value)) - value) <= 0.005 + 1e-9 and "e" not in number(value)
