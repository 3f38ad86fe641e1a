"""`foxing review`: the worst cases of a rule about pairs of rows, side by side."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, Session, common, printable

if TYPE_CHECKING:
    from audit.review import Pair, Run

EXAMPLES = """\b
Examples:
  foxing review audit FX302
  foxing review audit FX301 --source forum --top 50
  foxing review audit FX303 --format json
"""
_MARK, _PLAIN = "33;1", "2"
_LONGEST_SAME = 24
_NARROWEST = 60


@click.command("review", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("rule_id", metavar="RULE")
@click.option("--source", metavar="NAME", help="Cases of this source only.")
@click.option("--top", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many, worst first.")
@click.option("--corpus", metavar="ROOT", help="Folder that the scanned files were moved to.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@common
def command(
    session: Session,
    /,
    directory: Path,
    rule_id: str,
    source: str | None,
    top: int,
    corpus: str | None,
    form: str,
) -> None:
    """Show what RULE hit worst in the scan in DIR, with the texts beside each other.

    Of a duplicate (FX301, FX302): the row that would go on the left, the one that stays on the right, what differs
    marked, and the exact similarity of the two texts. Of a leaked benchmark item (FX303): the passage, marked where it
    stands. On a terminal the cases are paged.
    """
    from audit.review import review
    from audit.rules import find, rules_from

    findings = session.findings(directory)
    rule = find(rules_from(session.config.rules), rule_id)
    pairs = review(findings, rule, top=top, source=source, corpus=corpus)
    if form == "json":
        session.result(json.dumps([dataclasses.asdict(pair) for pair in pairs], indent=1, ensure_ascii=False))
        return
    if not pairs:
        session.result(f"{rule.id} {rule.name}: no row is hit")
        return
    width = max(_NARROWEST, shutil.get_terminal_size((100, 24)).columns)
    blocks = [block for at, pair in enumerate(pairs, 1) for block in _described(pair, at, len(pairs), width, session)]
    text = "\n".join(blocks)
    if sys.stdout.isatty():
        click.echo_via_pager(text, color=session.color)
    else:
        session.result(text)


def _described(pair: Pair, at: int, total: int, width: int, session: Session) -> Iterator[str]:
    values = " ".join(f"{name}={_short(value)}" for name, value in pair.values.items() if value is not None)
    yield f"--- {at} of {total}: {pair.rule}  {printable(values)}"
    if pair.right is None:
        yield f"{printable(pair.left.shard)} row {pair.left.row}"
        yield from _passage(pair, width, session)
        yield ""
        return
    from audit.review import runs_of

    exact = "" if pair.jaccard is None else f"  exact Jaccard {pair.jaccard:.3f}"
    half = (width - 3) // 2
    stays = "of the reference, stays" if pair.values.get("in_reference") else "stays"
    heads = [f"{side.shard} row {side.row} ({what})" for side, what in ((pair.left, "goes"), (pair.right, stays))]
    yield " | ".join(printable(head)[:half].ljust(half) for head in heads) + exact
    for left, right in _columns(runs_of(pair.left.text, pair.right.text), half):
        yield f"{_painted(left, half, session)} | {_painted(right, half, session)}".rstrip()
    yield ""


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _passage(pair: Pair, width: int, session: Session) -> Iterator[str]:
    start, end = pair.passage or (0, 0)
    text = pair.left.text
    for part, marked in ((text[:start], False), (text[start:end], True), (text[end:], False)):
        for line in _wrapped(" ".join(part.split()), width - 2):
            yield _painted(("> " if marked else "  ") + line, 0, session)


def _columns(runs: Sequence[Run], half: int) -> Iterator[tuple[str, str]]:
    """Lines of both columns; those that differ begin with `>`, and long stretches that do not are cut short."""
    for run in runs:
        mark = "  " if run.same else "> "
        left, right = (_wrapped(_cut(words, run.same), half - 2) for words in (run.left, run.right))
        for at in range(max(len(left), len(right))):
            yield tuple(mark + lines[at] if at < len(lines) else "" for lines in (left, right))  # type: ignore[misc]


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, each safe to print: what stood within a line may now begin one."""
    return [printable(line) for line in textwrap.wrap(printable(text), width - 1)]


def _cut(words: Sequence[str], same: bool) -> str:
    if not same or len(words) <= _LONGEST_SAME:
        return " ".join(words)
    keep = _LONGEST_SAME // 2
    return " ".join([*words[:keep], f"[... {len(words) - 2 * keep} words alike ...]", *words[-keep:]])


def _painted(line: str, width: int, session: Session) -> str:
    padded = line.ljust(width)
    if not session.color or not line:
        return padded
    return f"\x1b[{_MARK if line.startswith('>') else _PLAIN}m{padded}\x1b[0m"
