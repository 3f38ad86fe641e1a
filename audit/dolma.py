"""Attributes in the layout of the dolma toolkit: findings out, and scores of other taggers in, beside documents.

`documents/PATH.jsonl.gz` goes with `attributes/NAME/PATH.jsonl.gz`, line by line. There a line holds the `id` of its
document and `attributes`, each a number or a list of spans `[start, end, score]` in characters (allenai/dolma,
docs/data-format.md).
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from audit.replacing import replacing
from detectors.errors import FindingsError, InputError

if TYPE_CHECKING:
    from audit.findings_folder import Findings, ShardRecord
    from audit.rules import Rule

__all__ = ["export_attributes", "join_attributes"]

_DOCUMENTS = "/documents/"
_LENGTH = "document.characters"
_ID, _SOURCE = "id", "source"
_PREFERRED = ("rules", "document.words", "ai_text.p_human", "ai_text.score", "ai_text.machine_share")
Attributes = Mapping[str, object]


def export_attributes(
    findings: Findings, rules: Sequence[Rule], folder: Path, *, columns: Sequence[str] | None = None
) -> tuple[Path, ...]:
    """Write findings as attributes, a file for each file of documents, aligned with it.

    Each number becomes one span over the whole text, named `NAME__SIGNAL__FIELD`; a rule that is hit becomes
    `NAME__rules__ID` with score 1. What is undefined has no span.

    Args:
        findings: of files whose rows have an `id`.
        rules: as configured.
        folder: `.../attributes/NAME`.
        columns: `rules` and `signal.field`s that are numbers; None takes the rules and the scores that were measured.

    Returns:
        The files.

    Raises:
        InputError: documents without ids, or others than were scanned. ConfigError: no such column. OutputError.
    """
    from audit.export import selected
    from audit.rules import decided

    parts = decided(findings, rules)
    written: list[Path] = []
    part = next(parts, None)
    wanted = _measured(findings) if columns is None else tuple(columns)
    for shard in findings.shards:
        path = folder / _relative(shard)
        if path in written:
            raise InputError(f"{shard.uri}: another file has its attributes at {path}. Scan and write them apart.")
        path.parent.mkdir(parents=True, exist_ok=True)
        named = _named(shard)
        with replacing(path) as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as stream:
            while part is not None and part["shard"][0] == shard.key:
                for row in selected(part, (*wanted, _LENGTH)).iter_rows(named=True):
                    _write(stream, next(named, None), _spans(row, wanted, folder.name), shard)
                part = next(parts, None)
            if next(named, None) is not None:
                raise _changed(shard)
        written.append(path)
    return tuple(written)


def _measured(findings: Findings) -> tuple[str, ...]:
    names = {signal.name for signal in findings.measured}
    return tuple(name for name in _PREFERRED if name == "rules" or name.partition(".")[0] in names)


def _relative(shard: ShardRecord) -> Path:
    """Where a file lies below its folder of documents, as gzipped JSON lines."""
    _, below, rest = shard.uri.rpartition(_DOCUMENTS)
    path = Path(rest if below else shard.key.lstrip("/"))
    if path.suffix == ".gz":
        return path
    stem = path.name.removesuffix(".zst").removesuffix(".jsonl").removesuffix(".json")
    return path.with_name(f"{Path(stem).stem if stem == path.name else stem}.jsonl.gz")


def _named(shard: ShardRecord) -> Iterator[dict[str, object]]:
    """`id`, and `source` where there is one, of each document."""
    from audit.corpus import open_shard

    if _ID not in shard.columns:
        raise InputError(f"{shard.uri}: has no column 'id', by which dolma knows documents. Give each row an id.")
    columns = [name for name in (_ID, _SOURCE) if name in shard.columns]
    for batch in open_shard(shard.uri, shard.format, size_bytes=shard.size_bytes).batches(columns):
        yield from batch.to_pylist()


def _spans(row: Mapping[str, object], wanted: Sequence[str], experiment: str) -> Attributes:
    length, found = row[_LENGTH], dict[str, object]()
    for name in wanted:
        value = row[name]
        if name == "rules" and isinstance(value, list):
            found |= {f"{experiment}__rules__{rule}": [[0, length, 1.0]] for rule in value}
        elif isinstance(value, int | float) and math.isfinite(value):
            found[f"{experiment}__{name.replace('.', '__')}"] = [[0, length, float(value)]]
    return found if length is not None else {}


def _write(
    stream: gzip.GzipFile, named: Mapping[str, object] | None, attributes: Attributes, shard: ShardRecord
) -> None:
    if named is None:
        raise _changed(shard)
    stream.write(json.dumps({**named, "attributes": attributes}, default=_plain).encode() + b"\n")


def _plain(value: object) -> str:
    """What JSON has no kind for, such as a date, as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _changed(shard: ShardRecord) -> FindingsError:
    return FindingsError(f"{shard.uri}: has other rows than were scanned. Scan it again: foxing scan --update.")


def join_attributes(documents: Path, attributes: Iterable[Path], output: Path) -> tuple[Path, ...]:
    """Write documents with attributes as columns, which the signal `given` reads.

    A number stays as it is; of spans the mean score is taken, weighted by their length, null where there is none.

    Args:
        documents: a folder of gzipped JSON lines.
        attributes: folders `.../attributes/NAME` that go with it.
        output: a folder; files in it are replaced.

    Returns:
        The files.

    Raises:
        InputError: no documents, no file of attributes for one, other ids in it, a name that is taken, or output in
            place of the documents. OutputError: cannot be written.
    """
    folders = tuple(attributes)
    if output.resolve() == documents.resolve():
        raise InputError(f"{output}: is the folder of the documents, which stay as they are. Name another for output.")
    files = sorted(path for path in documents.rglob("*.gz") if path.is_file())
    if not files:
        raise InputError(f"{documents}: holds no *.jsonl.gz. Name a folder of dolma documents.")
    written = []
    for path in files:
        below = path.relative_to(documents)
        sources = [_lines(folder / below) for folder in folders]
        target = output / below
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as stream:
            for number, (document, *found) in enumerate(zip_longest(_lines(path), *sources)):
                stream.write(_joined(document, found, f"{below}, line {number + 1}"))
        written.append(target)
    return tuple(written)


def _joined(document: Attributes | None, found: Sequence[Attributes | None], where: str) -> bytes:
    columns: dict[str, object] = dict(document or {})
    for one in found:
        if document is None or one is None or one.get(_ID) != document.get(_ID):
            ids = [None if line is None else line.get(_ID) for line in (document, one)]
            raise InputError(f"{where}: id {ids[0]!r} goes with {ids[1]!r}. Tag the documents again.")
        values = one.get("attributes")
        if isinstance(values, dict):
            taken = sorted(columns.keys() & values.keys())
            if taken:
                raise InputError(f"{where}: attribute {taken[0]!r} is there already. Give it another name.")
            columns |= {name: _score(value) for name, value in values.items()}
    return json.dumps(columns, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _score(value: object) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    spans = [span for span in value if _is_span(span)] if isinstance(value, list) else []
    size = sum(end - start for start, end, _ in spans)
    if not spans:
        return None
    return sum((end - start) * score for start, end, score in spans) / size if size else float(spans[0][2])


def _is_span(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(part, int | float) for part in value)


def _lines(path: Path) -> Iterator[dict[str, object]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                found = json.loads(line)
                if not isinstance(found, dict):
                    raise ValueError(f"{line[:40].strip()} is no object")
                yield found
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as gzipped JSON lines ({error}). Write it again.") from error
