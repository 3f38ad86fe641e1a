"""Markdown and cards show hostile text as text, and a card keeps what is not ours."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from audit.report.card import BEGIN, END, render_card
from audit.report.content import Report
from audit.report.markdown import escaped, render_markdown
from audit.report.visible import one_line
from detectors.errors import InputError
from tests.audit.test_report_markup import read
from tests.hostile import ACTING, PAYLOADS

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


@pytest.fixture
def report(hostile_report: Report) -> Report:
    return hostile_report


@given(st.text(max_size=40) | st.sampled_from(PAYLOADS))
def test_escaped_text_is_a_paragraph_that_reads_as_the_text(text: str) -> None:
    seen = read(MARKDOWN.render(f"{escaped(text)} end"))
    assert seen.tags == ["p"] and not seen.attributes
    assert " ".join(seen.text.split()) == " ".join(f"{one_line(text)} end".split())


def test_the_whole_report_holds_no_markup_of_the_corpus(report: Report) -> None:
    text = render_markdown(report)
    seen = read(MARKDOWN.render(text))
    ours = {"h1", "h2", "p", "strong", "em", "ul", "li", "pre", "code", "table", "thead", "tbody", "tr", "th", "td"}
    assert set(seen.tags) <= ours, set(seen.tags) - ours
    assert {name for name, _ in seen.attributes} <= {"class", "style"}
    assert all(value.startswith("text-align:") for name, value in seen.attributes if name == "style" and value)
    assert not set(text) & set(ACTING)
    for payload in ("</script><script>window.pwned=1", "``````` ~~~ | [a](javascript:pwned)"):
        assert payload in seen.text


def test_a_new_card_has_metadata_that_other_tools_read(report: Report) -> None:
    card = render_card(report)
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["size_categories"] == ["n<1K"] and "foxing" in metadata["tags"] and metadata["language"] == ["en"]
    ours = metadata["foxing"]
    assert ours["signature"] == report.signature and ours["rows"] == 48 and "FX301" in ours["over_budget"]
    assert set(read(MARKDOWN.render(card.split("---\n", 2)[2])).tags).isdisjoint({"script", "img", "a", "svg"})


def test_of_a_card_that_is_there_only_our_part_changes(report: Report) -> None:
    card = "---\nlicense: mit # kept\nfoxing:\n  version: old\n  rows: 1\nlanguage:\n- de\n---\n# Mine\n\nText.\n"
    made = render_card(report, card)
    assert made.startswith("---\nlicense: mit # kept\nlanguage:\n- de\nfoxing:\n") and "version: old" not in made
    assert "# Mine\n\nText.\n\n" + BEGIN in made and made.endswith(END)
    assert render_card(report, made) == made
    changed = made.replace(END, END + "\n\n## Later\n\nmine too")
    assert render_card(report, changed).endswith("## Later\n\nmine too")
    assert yaml.safe_load(made.split("---\n")[1])["language"] == ["de"]


@pytest.mark.parametrize("card", ["", "# No metadata\n", "---\n---\ntext", "---\nlicense: mit\n---"])
def test_cards_of_every_shape_take_the_section(report: Report, card: str) -> None:
    made = render_card(report, card)
    assert made.count(BEGIN) == 1 == made.count(END)
    assert yaml.safe_load(made.split("---\n")[1])["foxing"]["rows"] == 48
    assert render_card(report, made) == made


@pytest.mark.parametrize("marks", [BEGIN, END, f"{END}\n{BEGIN}"])
def test_a_card_with_half_of_our_marks_or_in_the_wrong_order_is_refused(report: Report, marks: str) -> None:
    with pytest.raises(InputError, match="after it"):
        render_card(report, f"# x\n{marks}\n")
