"""A report in one of its forms: a page, JSON, Markdown or a dataset card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from audit.replacing import replacing
from detectors.errors import ConfigError, InputError

if TYPE_CHECKING:
    from audit.report.content import Report

__all__ = ["FORMS", "Form", "check_form", "rendered", "write_rendered"]

Form = Literal["html", "json", "markdown", "card"]
FORMS = ("html", "json", "markdown", "card")


def check_form(form: str) -> None:
    """Stop at a form that there is not, before anything is read.

    Raises:
        ConfigError: names the forms.
    """
    if form not in FORMS:
        raise ConfigError(f"form = {form!r} is none of {', '.join(FORMS)}. Choose one of them.")


def rendered(report: Report, form: str, card: Path | None = None) -> str:
    """The report as text, without a final newline.

    Args:
        report: what it says.
        form: `html`, `json` (docs/report.schema.json), `markdown` or `card`, for a Hugging Face dataset.
        card: for `card`, the file that may be there, and keeps all else that it holds.

    Raises:
        ConfigError: no such form. InputError: the card cannot be read, or its comments are not in pairs.
    """
    check_form(form)
    if form == "html":
        from audit.report.page import render_page

        return render_page(report)
    if form == "json":
        from audit.report.document import render_json

        return render_json(report)
    if form == "markdown":
        from audit.report.markdown import render_markdown

        return render_markdown(report)
    from audit.report.card import render_card

    return render_card(report, _card(card))


def write_rendered(report: Report, form: str, path: Path) -> None:
    """Write the report to a file, which appears when it is whole.

    Raises:
        OutputError: the file cannot be written. Besides what `rendered` raises.
    """
    text = rendered(report, form, path)
    with replacing(path) as stream:
        stream.write((text.rstrip("\n") + "\n").encode("utf-8"))


def _card(path: Path | None) -> str | None:
    """The card that is there; None where none is."""
    if path is None or not path.exists():
        return None
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a card ({error}). Name another file.") from error
