"""How uniform the form of a corpus is, in a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.report.content import Absent
from audit.report.content_text import Fit, Skeleton, Uniformity

if TYPE_CHECKING:
    from audit.format_profile import Form, FormatProfile

__all__ = ["uniformity_section"]

_SHOWN_SOURCES = 20
_SHOWN_SKELETONS = 3


def uniformity_section(profile: FormatProfile | None, *, with_text: bool) -> Uniformity | Absent:
    """The form of the corpus and of its largest sources, and the skeletons that recur most.

    Args:
        profile: the format profile; None where `format` was not measured.
        with_text: False leaves out every skeleton and example, which are text of the corpus.
    """
    if profile is None:
        return Absent("Form was not measured. Scan with --signals document,format to see which templates recur.")
    if not profile.total.rows:
        return Absent("No document has words, so there is no form to speak of.")
    sources = list(profile.sources.items())[:_SHOWN_SOURCES]
    shown = sources if len(profile.sources) > 1 else [("", profile.total)]
    skeletons = tuple(
        Skeleton(name, each.rows, each.share, each.text, each.example or "")
        for name, form in shown
        for each in form.skeletons[:_SHOWN_SKELETONS]
        if each.text is not None and with_text
    )
    unread = "Texts were left out of this report, as asked." if not with_text else profile.unread or ""
    return Uniformity((_fit("", profile.total), *(_fit(name, form) for name, form in sources)), skeletons, unread)


def _fit(source: str, form: Form) -> Fit:
    return Fit(
        source=source,
        rows=form.rows,
        share=None if form.share is None else form.share.share,
        interval=None if form.share is None else form.share.interval,
        bits=form.skeleton_bits,
        effective=form.effective,
        compared=form.compared,
        structures=dict(form.structures),
        token_distance=None if form.distance is None else form.distance.tokens,
        structure_distance=None if form.distance is None else form.distance.structure,
    )
