"""`foxing explain`: what moved the score of a document, or what sets the machine-like rows of a corpus apart."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.options import CONTEXT, PLACE, Session, common

if TYPE_CHECKING:
    from audit.contrast import Contrast
    from audit.explain import Explanation, Part

EXAMPLES = """\b
Examples:
  foxing explain page.txt corpus.parquet:148
  foxing explain audit --row content_farm:148 --top 5
  foxing explain audit --source crawl --reference old_web.parquet
"""
_MACHINE, _HUMAN = "31", "32"
_STRONG_SHARE = 0.2
"""Share of the document's words that are coloured, those that moved the margin most."""
_WINDOWS = 24


@click.command("explain", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("targets", metavar="FILE[:ROW]...|DIR", nargs=-1, required=True, type=PLACE)
@click.option("--row", "rows", multiple=True, metavar="SHARD:ROW", help="A row of the scan in DIR. Repeatable.")
@click.option("--source", metavar="NAME", help="Of DIR, compare rows of this source only.")
@click.option("--language", metavar="CODE", help="Of DIR, compare rows in this language (default: the commonest).")
@click.option("--reference", multiple=True, metavar="PATH", help="Human text, for a second comparison. Repeatable.")
@click.option("--corpus", metavar="ROOT", help="Folder that the scanned files were moved to.")
@click.option("--top", type=click.IntRange(1, 1000), default=10, show_default=True, help="Entries of each list.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@common
def command(
    session: Session,
    /,
    targets: tuple[str, ...],
    rows: tuple[str, ...],
    top: int,
    form: str,
    **chosen: object,
) -> None:
    """Take the score of documents apart, or name what a scan's machine-like rows overuse.

    Of a document: margin, `p_human` and score, and which sentences, words and characters moved the margin; all shares
    and the bias add up to it. Of a scan (a folder DIR without --row): words, phrases and marks that rows with
    `p_human` <= 0.01 use more than the most human-like rows of the same language, and more than --reference, with
    counts. An explanation says what the detector looked at. It is no proof of who wrote a text.
    """
    folder = _folder(targets, of_scan=bool(rows))
    for name in ("source", "language", "reference", "corpus"):
        if chosen[name] and (folder is None or (rows and name != "corpus")):
            raise click.UsageError(
                f"--{name} is for a scan's folder DIR" + (" without --row." if name != "corpus" else ".")
            )
    if folder is None:
        if rows:
            raise click.UsageError("--row is for a scan's folder DIR. Of a file write FILE:ROW.")
        _show(session, _of_files(session, targets), top, form)
        return
    from audit.calibrate import tables_of

    findings, corpus = session.findings(folder), _text(chosen["corpus"])
    tables = tables_of(findings)
    if rows:
        from audit.explain import explain_row

        addresses = map(_address, rows)
        explained = [explain_row(findings, key, row=row, corpus=corpus, tables=tables) for key, row in addresses]
        _show(session, explained, top, form)
        return
    from audit.contrast import contrast

    references = chosen["reference"]
    found = contrast(
        findings,
        session.config,
        source=_text(chosen["source"]),
        language=_text(chosen["language"]),
        references=[str(one) for one in references] if isinstance(references, tuple) else [],
        corpus=corpus,
        top=top,
        tables=tables,
    )
    session.result(
        json.dumps(dataclasses.asdict(found), ensure_ascii=False) if form == "json" else _contrast_text(found)
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _folder(targets: Sequence[str], *, of_scan: bool) -> Path | None:
    """The folder of a scan, where that is what was named; one that is not there, where it must be one."""
    from audit.findings_folder import RECORD

    folder = Path(targets[0])
    if not folder.is_dir():
        return None if not of_scan or folder.exists() else folder
    if len(targets) > 1:
        raise click.UsageError("Name one scan's folder, or files.")
    if (folder / RECORD).is_file() or (folder / "findings").is_dir():
        return folder
    raise click.UsageError(f"{folder} holds no scan. Name a scan's folder, or files.")


def _address(text: str) -> tuple[str, int]:
    name, colon, row = text.rpartition(":")
    if not colon or not row.isdecimal():
        raise click.UsageError(f"--row {text}: write SHARD:ROW, with a row number from 0.")
    return name, int(row)


def _of_files(session: Session, targets: Sequence[str]) -> list[Explanation]:
    from audit.calibrate import tables_for
    from audit.explain import explain_file

    config = session.config
    tables = None if config.reference is None else tables_for(config.reference)
    rows: dict[str, list[int]] = {}
    for target in targets:
        name, colon, row = target.rpartition(":")
        if colon and row.isdecimal() and not Path(target).exists():
            rows.setdefault(name, []).append(int(row))
        else:
            rows.setdefault(target, [])
    return [one for path, chosen in rows.items() for one in explain_file(path, chosen, config=config, tables=tables)]


def _show(session: Session, found: Sequence[Explanation], top: int, form: str) -> None:
    if form == "json":
        session.result("\n".join(json.dumps(_record(one, top), ensure_ascii=False) for one in found))
        return
    session.result("\n\n".join("\n".join(_explanation(one, top, color=session.color)) for one in found))


def _record(found: Explanation, top: int) -> dict[str, object]:
    """A JSON object: the explanation with the strongest features and all parts."""
    record = dataclasses.asdict(dataclasses.replace(found, features=found.features[:top], parts=()))
    record["parts"] = [
        {"start": part.start, "end": part.end, "value": part.value, "text": part.text, "words": part.words}
        for part in found.parts
    ]
    return record


def _explanation(found: Explanation, top: int, *, color: bool) -> Iterator[str]:
    from audit.formats import plain

    yield plain(found.name)
    yield f"  {_verdict(found)}"
    if found.windows:
        more = f" and {len(found.windows) - _WINDOWS:,} more" if len(found.windows) > _WINDOWS else ""
        yield f"  margins of windows: {' '.join(f'{one:+.2f}' for one in found.windows[:_WINDOWS])}{more}"
    sums = ", ".join(f"{name} {value:+.2f}" for name, value in found.kinds.items())
    yield f"  margin {found.margin:+.3f} = bias {found.bias:+.2f} and {sums}"
    strong = _strong(found) if color else None
    for title, sign in (("machine-like", 1), ("human-like", -1)):
        parts = sorted((part for part in found.parts if sign * part.value > 0), key=lambda part: -sign * part.value)
        if parts:
            yield f"  most {title} passages"
            yield from (f"    {part.value:+.3f}  {_passage(part, strong)}" for part in parts[:top])
    for title, sign in (("machine-like", 1), ("human-like", -1)):
        features = [one for one in found.features if sign * one.value > 0][:top]
        if features:
            yield f"  most {title} features"
            yield from (f"    {line}" for line in _aligned([_feature(one) for one in features]))


def _verdict(found: Explanation) -> str:
    facts = [f"language {found.language}", f"{found.length:,} characters"]
    if found.abstained or found.p_human is None or found.score is None:
        facts.insert(0, "no verdict: too little text to judge")
    else:
        facts.insert(0, f"p_human {found.p_human:.4g}, score {found.score:.3f}")
    if found.out_of_support:
        facts.append("unlike the texts that the detector was calibrated on")
    return ", ".join(facts)


def _feature(one: object) -> list[str]:
    from audit.explain import Moved
    from audit.formats import short

    assert isinstance(one, Moved)
    return [f"{one.value:+.3f}", one.kind, f"“{short(' '.join(one.text.split()) or one.text)}”", f"{one.count:,} times"]


def _strong(found: Explanation) -> float:
    """The share of the margin from which on a word is coloured."""
    sizes = sorted((abs(value) for part in found.parts for _, value in part.words), reverse=True)
    return sizes[int(_STRONG_SHARE * (len(sizes) - 1))] if sizes else 0.0


def _passage(part: Part, strong: float | None) -> str:
    """The span on one line; words that moved the margin by `strong` or more coloured by their sign."""
    from audit.formats import plain

    pieces = []
    for word, value in part.words:
        shown = " ".join(plain(word.replace("\n", " ").replace("\t", " ")).split(" "))
        if strong is not None and abs(value) >= strong:
            shown = f"\x1b[{_MACHINE if value > 0 else _HUMAN}m{shown}\x1b[0m"
        pieces.append(shown)
    return "".join(pieces).strip()


def _contrast_text(found: Contrast) -> str:
    from audit.formats import plain, short

    where = "" if found.source is None else f" of source {short(found.source)}"
    lines = [
        f"overused in machine-like rows{where}, language {plain(found.language)}",
        f"  machine-like: {found.chosen}; {found.rows:,} counted, {found.total_words:,} words",
        f"  human-like: the half of the unflagged rows with the largest p_human; {found.other_rows:,} counted, "
        f"{found.other_words:,} words",
    ]
    if found.reference_rows is not None and found.reference_words is not None:
        lines.append(f"  reference: {found.reference_rows:,} rows counted, {found.reference_words:,} words")
    lines.append(f"  of {found.judged:,} judged rows, samples with seed {found.seed}; z: log-odds by standard error")
    for words, title in ((1, "words"), (2, "two words"), (3, "three words"), (0, "marks")):
        phrases = [one for one in found.phrases if one.words == words]
        if not phrases:
            continue
        head = [title, "z", "count", "rows", "human-like", "rows"]
        head += ["reference", "rows"] if found.reference_rows is not None else []
        body = []
        for one in phrases:
            cells = [short(one.text), f"{one.z:.1f}", *_counts(one.count, one.rows, one.other_count, one.other_rows)]
            if one.reference_count is not None and one.reference_rows is not None:
                cells += _counts(one.reference_count, one.reference_rows)
            body.append(cells)
        lines += ["", *(f"  {line}" for line in _aligned([head, *body], right=True))]
    if not found.phrases:
        lines.append("  nothing is overused beyond chance of counting: no phrase has enough occurrences")
    lines += [
        "",
        "Topics differ between rows too: read the words as leads, not as proof.",
        f"signature {found.signature}",
    ]
    return "\n".join(lines)


def _counts(*numbers: int) -> Iterable[str]:
    return (f"{number:,}" for number in numbers)


def _aligned(rows: Sequence[Sequence[str]], *, right: bool = False) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if right and at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
