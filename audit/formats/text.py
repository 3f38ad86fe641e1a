"""An assessment for people: verdict first, then one line a rule, then where and the worst rows.

No line begins with a value from data, because continuous integration takes a line that begins with `::` for a command.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from audit.assess import Verdict
from audit.formats import (
    View,
    aligned,
    at_least,
    certainty,
    count,
    interval,
    level,
    percent,
    plain,
    row_values,
    share_found,
    short,
    what,
)
from audit.formats.forms import form_tables

if TYPE_CHECKING:
    from audit.assess import Assessment, Result
    from audit.prevalence import Opinion, Prevalence, Shares
    from audit.profile import Phrases
    from detectors.frequent import Item

__all__ = ["render"]

_COLORS = {Verdict.OVER: "31;1", Verdict.WITHIN: "32", Verdict.NO_ESTIMATE: "33", Verdict.NOT_APPLICABLE: "2"}
_COLORS |= {Verdict.UNDECIDED: "33", Verdict.KNOWN: "33"}
_ID = 5
_NOTE = 110  # characters of a line of notes
_TOP_SOURCES = 5
_TOP_GROUPS = 30
_TOP_ROWS = 3
_PROFILED_SOURCES = 20
_TOP_PHRASES = 5
_LISTED = {"ngrams_3": "3-grams", "ngrams_5": "5-grams", "openings": "openings", "endings": "endings"}


def render(assessment: Assessment, view: View) -> str:
    """The whole report as lines of text, without a final newline."""
    blocks = [_headline(assessment), _table(assessment, view)]
    blocks += [_shares(result.shares, view) for result in assessment.results if result.shares is not None]
    blocks += [_details(result, assessment, view) for result in assessment.over]
    if view.statistics:
        blocks += [_statistics(assessment), *_profile(assessment), *_form(assessment)]
    blocks.append([*_corpus(assessment), f"signature {plain(assessment.signature)}"])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _headline(assessment: Assessment) -> list[str]:
    lines = [f"cannot be read: {plain(failed.message)} ({failed.code})" for failed in assessment.failed]
    over = assessment.over
    if over:
        return [*lines, f"Over budget: {_named(over)}."]
    known = [result for result in assessment.results if result.verdict is Verdict.KNOWN]
    if known:
        # A sample need not tell whether the share is over budget still.
        said = (
            "in the baseline, and not above what it was then"
            if assessment.sample
            else "as in the baseline, and not worse"
        )
        lines.append(f"Over budget {said}: {_named(known)}.")
    unknown = [result.rule.id for result in assessment.results if result.verdict is Verdict.NO_ESTIMATE]
    undecided = [result.rule.id for result in assessment.undecided]
    every = "Every other rule" if known else "Every rule"
    within = f"{every} that could be judged is within budget" if unknown or undecided else f"{every} is within budget"
    where = " on what could be read" if assessment.failed else ""
    without = f"; without an estimate: {', '.join(unknown)}" if unknown else ""
    open_ = f"; undecided: {', '.join(undecided)}" if undecided else ""
    return [*lines, f"{within}{where}{without}{open_}."]


def _named(results: Sequence[Result]) -> str:
    return ", ".join(f"{result.rule.id} {plain(result.rule.name)}" for result in results)


def _table(assessment: Assessment, view: View) -> list[str]:
    rows = [("rule", "", "verdict", "budget", "found", f"{level(assessment)} interval", "hits of n")]
    shown = [result for result in assessment.results if result.verdict is not Verdict.NOT_APPLICABLE]
    for result in shown:
        rows.append(
            (
                result.rule.id,
                plain(result.rule.name),
                result.verdict.value,
                percent(result.rule.budget),
                share_found(result),
                certainty(result) or plain(result.reason or ""),
                f"{result.hits:,} of {count(result.n, result.judged.value)}" if result.n else "-",
            )
        )
    lines = aligned(rows)
    notes = [
        line
        for result in assessment.results
        if result.reason and result.share is not None
        for line in _wrapped(f"{result.rule.id}: {plain(result.reason)}")
    ]
    absent = [result for result in assessment.results if result.verdict is Verdict.NOT_APPLICABLE]
    if absent:
        notes += _wrapped("not judged: " + "; ".join(f"{one.rule.id} ({plain(one.reason or '')})" for one in absent))
    if not view.color:
        return [*lines, *notes]
    colored = (
        f"\x1b[{_COLORS[result.verdict]}m{line[:_ID]}\x1b[0m{line[_ID:]}"
        for line, result in zip(lines[1:], shown, strict=True)
    )
    return [lines[0], *colored, *notes]


def _wrapped(note: str) -> list[str]:
    lines = textwrap.wrap(note, _NOTE, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [f"  |{line[1:]}" if line.startswith("  ::") else line for line in lines]  # one after a space is a command


def _shares(shares: Shares, view: View) -> list[str]:
    """The headline number: by documents and words, by other methods, and with statistics by group."""
    rows = [("machine-written text", "share", "95 % interval", "n", "method")]
    for name, found in (("documents", shares.documents), ("words", shares.words)):
        rows.append((f"by {name}", *_share(found)))
        rows += [
            ("  for comparison", _corrected(other), interval(other.interval) or "-", "", other.method)
            for other in found.second_opinions
        ]
    for kind, groups in shares.groups.items() if view.statistics else ():
        if kind == "source":
            continue  # the rule's own table lists them
        largest = sorted(groups.items(), key=lambda item: (-item[1].n, item[0]))[:_TOP_GROUPS]
        rows += [(f"{kind} {short(name)}", *_share(found)) for name, found in sorted(largest)]
        if len(groups) > len(largest):
            rows.append((f"and {len(groups) - len(largest):,} more by {kind} (--format json has them)", "", "", "", ""))
    return aligned(rows)


def _share(found: Prevalence) -> tuple[str, str, str, str]:
    method = f"{found.method}, {count(found.labelled, 'label')}" if found.labelled else found.method
    return _percent(found.share), interval(found.interval) or "-", f"{found.n:,}", method


def _percent(share: float | None) -> str:
    return "-" if share is None else percent(share)


def _corrected(other: Opinion) -> str:
    return "-" if other.share is None else at_least(other.share, other.interval)


def _details(result: Result, assessment: Assessment, view: View) -> list[str]:
    lines = [
        f"{result.rule.id} {plain(result.rule.name)}: {what(result, assessment)}; budget {percent(result.rule.budget)}"
    ]
    if result.by_words is not None and result.by_words.share is not None and result.shares is None:
        lines.append(f"  by words: {percent(result.by_words.share)} ({interval(result.by_words.interval)})")
    if len(result.sources) > 1 and not view.statistics:
        lines += ["  sources, highest first:", *(f"  - {line}" for line in _by_source(result, _TOP_SOURCES))]
    if result.worst:
        lines.append(f"  worst {result.judged.value}s:")
    for case in result.worst[: None if view.verbose else _TOP_ROWS]:
        place = plain(case.uri) if case.row is None else f"{plain(case.uri)} row {case.row}"
        lines.append(f"  - {place}: {plain(case.message) or row_values(case.values)}")
    if view.verbose and result.rule.explanation:
        return [*lines, *(f"  | {plain(line)}".rstrip() for line in result.rule.explanation.splitlines())]
    return [*lines, f"  what this means and what to do: foxing rule {result.rule.id}"]


def _by_source(result: Result, top: int | None) -> Iterator[str]:
    shown = result.sources[:top]
    yield from aligned(
        [
            (
                short(source.source),
                percent(source.share) if source.share is not None else "no estimate",
                f"({interval(source.interval)})" if source.interval else "",
                f"{source.hits:,} of {source.n:,}",
            )
            for source in shown
        ]
    )
    if len(result.sources) > len(shown):
        yield f"and {len(result.sources) - len(shown):,} more sources (--statistics lists them)"


def _statistics(assessment: Assessment) -> list[str]:
    lines = []
    for result in assessment.results:
        if result.sources and result.n:
            lines.append(f"{result.rule.id} {plain(result.rule.name)} by source")
            lines += [f"  - {line}" for line in _by_source(result, None)]
    return lines


def _profile(assessment: Assessment) -> list[list[str]]:
    """The lexical profile: sources against each other, then what many documents share."""
    profile = assessment.profile
    if profile is None or not profile.total.documents:
        return []
    equal = f" at {profile.equal_words:,} words" if profile.equal_words is not None else ""
    rows = [("source", "documents", "words", f"distinct-2{equal}", f"distinct-3{equal}", "Heaps", "top opening")]
    largest = sorted(profile.sources.items(), key=lambda item: -item[1].words)[:_PROFILED_SOURCES]
    for name, found in (("all sources", profile.total), *largest):
        shares = [f"{share:.3f}" if (share := found.distinct[n].equal) is not None else "-" for n in (1, 2)]
        heaps = "-" if found.heaps is None else f"{found.heaps.beta:.2f}"
        opening = next((_phrase(item, found.phrases["openings"]) for item in found.phrases["openings"].items), "-")
        rows.append((short(name), f"{found.documents:,}", f"{found.words:,}", shares[0], shares[1], heaps, opening))
    error = f"{100 * profile.total.distinct[0].relative_error:.1f}"
    table = [
        f"lexical profile by source (distinct: standard error {error} % of it; {profile.signature})",
        *(f"  - {line}" for line in aligned(rows)),
    ]
    if len(profile.sources) > len(largest):
        table.append(f"  - and {count(len(profile.sources) - len(largest), 'smaller source')} (--format json has them)")
    shared = [
        f"  - {_LISTED[name]}: {'; '.join(_phrase(item, phrases) for item in phrases.items[:_TOP_PHRASES])}"
        for name, phrases in profile.total.phrases.items()
        if phrases.items
    ]
    return [table, ["shared by most documents", *shared]] if shared else [table]


def _form(assessment: Assessment) -> list[list[str]]:
    """The format profile: a block a table."""
    tables = [] if assessment.form is None else form_tables(assessment.form)
    return [[title, *(f"  - {line}" for line in (aligned(rows) if rows else ()))] for title, rows in tables]


def _phrase(item: Item, phrases: Phrases) -> str:
    share = percent(min(1.0, item.documents / phrases.candidates)) if phrases.candidates else "-"
    return f"“{short(item.text)}” {share}"


def _corpus(assessment: Assessment) -> Iterator[str]:
    sample = assessment.sample
    if sample is not None:
        yield (
            f"a sample: {count(sample.rows, 'row')} of {sample.of_rows:,}, in {count(sample.units, 'unit')} of at most "
            f"{sample.unit_rows} rows; it ended because {plain(sample.ended)}"
        )
        yield (
            f"the intervals hold together with a chance of {percent(1 - sample.error)}, as far as it depends on which "
            "rows were drawn; what the detector gets wrong is not in that"
        )
    if assessment.baseline is not None:
        yield f"held against {plain(assessment.baseline.signature)}"
    total = assessment.total
    size = f"{total.words:,} words, {total.bytes / 1e6:,.1f} MB of text" if total.bytes else "sizes not measured"
    where = f"{count(assessment.shards, 'shard')} and {count(len(assessment.sources), 'source')}"
    yield f"{count(total.rows, 'row')} in {where}: {size}"
    faults = [
        f"{number:,} {name}"
        for name, number in (
            ("null", total.nulls),
            ("with a signal that failed", total.errors),
            ("not valid UTF-8 (measured all the same)", total.invalid_utf8),
            ("too short or foreign for the detector", total.abstained),
            ("unlike its training texts", total.out_of_support),
        )
        if number
    ]
    if faults:
        yield f"of them {', '.join(faults)}"
    if any(result.corrected for result in assessment.results):
        yield "A flag proves nothing about one text or its author: shares are estimates over many documents."
