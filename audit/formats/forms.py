"""The format profile in words and as JSON: tables beside the lexical profile, and the same for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from audit.format_profile import LEAST_WORDS, QUANTILES, STRUCTURES
from audit.formats import count, interval, percent, plain, short

if TYPE_CHECKING:
    from audit.format_measures import Share
    from audit.format_profile import Form, FormatProfile, Recurring

__all__ = ["FORM_VERSION", "Table", "form_document", "form_tables"]

Table = tuple[str, list[tuple[str, ...]]]
"""A title, and rows of cells, the head first."""

FORM_VERSION = 1
_SHOWN_SOURCES = 20
_SHOWN_SKELETONS = 3


def form_tables(profile: FormatProfile) -> list[Table]:
    """What `foxing check --statistics` shows: shares by source, structures, and the skeletons that recur most."""
    if not profile.total.rows:
        return []
    named = [("all sources", profile.total), *list(profile.sources.items())[:_SHOWN_SOURCES]]
    tables = [_shares(profile, named), _structures(named)]
    if skeletons := _skeletons(named):
        tables.append(("skeletons that recur most (_ stands for content)", skeletons))
    if profile.unread is not None:
        tables.append((f"texts were not read, so there are no examples: {plain(profile.unread)}", []))
    return tables


def _shares(profile: FormatProfile, named: Sequence[tuple[str, Form]]) -> Table:
    equal = "" if profile.equal_rows is None else f"at {profile.equal_rows:,} rows"
    distances = any(form.distance is not None for _, form in named)
    head = ("source", "rows", "in top 100", "95 %", equal, "any length", "entropy", "opening", "effective", "order")
    rows: list[tuple[str, ...]] = [(*head, "tokens", "structure") if distances else head]
    for name, form in named:
        cells = (
            short(name),
            f"{form.rows:,}",
            _share(form.share),
            interval(form.share.interval) if form.share else "",
            _share(form.equal),
            _share(form.every),
            _bits(form.skeleton_bits),
            _bits(form.opening_bits),
            "-" if form.effective is None else f"{form.effective:.0f} of {form.compared}",
            "-" if form.compression is None else f"{form.compression.gain:.2f}",
        )
        rows.append((*cells, *_distances(form)) if distances else cells)
    more = f"; {count(profile.more, 'smaller source')} left out" if profile.more else ""
    title = (
        f"format by source: share of rows of {LEAST_WORDS} words or more in the source's 100 most frequent skeletons "
        f"({profile.signature}; at most 20,000 rows a source{more})"
    )
    return title, rows


def _distances(form: Form) -> tuple[str, str]:
    found = form.distance
    if found is None:
        return "-", "-"
    tokens = "-" if found.tokens is None else f"{found.tokens:.2f} (floor {found.floor:.2f})"
    return tokens, f"{found.structure:.2f}"


def _bits(entropy: float | None) -> str:
    return "-" if entropy is None else f"{entropy:.1f} bits"


def _share(found: Share | None) -> str:
    return "-" if found is None else percent(found.share)


def _structures(named: Sequence[tuple[str, Form]]) -> Table:
    rows: list[tuple[str, ...]] = [("source", *STRUCTURES, "median words", "spread")]
    for name, form in named:
        median = f"{form.lengths[QUANTILES.index(0.5)]:,.0f}" if form.lengths else "-"
        rows.append(
            (short(name), *(percent(form.structures[each]) for each in STRUCTURES), median, f"{form.spread:.2f}")
        )
    return "structure by source (share of rows; spread: standard deviation of log words)", rows


def _skeletons(named: Sequence[tuple[str, Form]]) -> list[tuple[str, ...]]:
    rows = [
        (
            short(name),
            f"{each.rows:,}",
            percent(each.share),
            short(each.text),
            f"“{short(' / '.join((each.example or '').split(chr(10))))}”",
        )
        for name, form in named[1:] or named
        for each in form.skeletons[:_SHOWN_SKELETONS]
        if each.text is not None
    ]
    return [("source", "rows", "share", "skeleton", "for example"), *rows] if rows else []


def form_document(profile: FormatProfile | None) -> dict[str, object] | None:
    """The whole profile, JSON-ready."""
    if profile is None:
        return None
    return {
        "version": FORM_VERSION,
        "signal": profile.signature,
        "least_words": LEAST_WORDS,
        "equal_rows": profile.equal_rows,
        "more_sources": profile.more,
        "unread": profile.unread,
        "quantiles": list(QUANTILES),
        "total": _form(profile.total),
        "sources": {name: _form(form) for name, form in profile.sources.items()},
    }


def _form(form: Form) -> dict[str, object]:
    shares = {"share": form.share, "share_equal": form.equal, "share_any_length": form.every}
    return {
        "rows": form.rows,
        "sampled": form.sampled,
        **{name: _share_document(share) for name, share in shares.items()},
        "skeleton_bits": form.skeleton_bits,
        "opening_bits": form.opening_bits,
        "closing_bits": form.closing_bits,
        "structures": dict(form.structures),
        "lengths": list(form.lengths),
        "spread": form.spread,
        "skeletons": _recurring(form.skeletons),
        "openings": _recurring(form.openings),
        "closings": _recurring(form.closings),
        "compression": None
        if form.compression is None
        else {**dataclasses.asdict(form.compression), "gain": form.compression.gain},
        "effective": None if form.effective is None else {"number": form.effective, "of": form.compared},
        "distance": None if form.distance is None else dataclasses.asdict(form.distance),
    }


def _share_document(share: Share | None) -> Mapping[str, object] | None:
    if share is None:
        return None
    return {"share": share.share, "interval": [share.interval.low, share.interval.high], "rows": share.rows}


def _recurring(found: Sequence[Recurring]) -> list[dict[str, object]]:
    return [dataclasses.asdict(each) for each in found]
