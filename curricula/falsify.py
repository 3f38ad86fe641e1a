"""Makes falsity-controlled sets: the same rows, of which a chosen share has a wrong answer, with the truth kept beside.

What false instructions do to a model is read off copies of one data set that differ in the share of wrong answers alone
(Cho 2024, ACL Findings, arXiv:2404.09717). Here the share is exact, the wrong answers are of the same relation and kind
(`curricula.wrong_answers`), and with one seed the wrong rows of a smaller share are among those of a larger one, with
the same wrong answers.

Three passes over the input: gather answers, choose a wrong one for every row, write. Memory does not grow with the
text: 13 bytes a row, 8 bytes a fact, and a bounded pool of answers.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit import __version__
from audit.corpus import Corpus
from audit.destination import local_folder, refuse_inside
from audit.findings_folder import write_json
from audit.folders import LocalFolder
from audit.signature import config_hash, corpus_hash
from curricula.falsified_rows import Choices, Maker, Reading
from curricula.order import row_hash
from curricula.part_files import FileWriter, Layout, Receipt, Target
from curricula.rationales import RATIONALES
from curricula.sections import Section, cut
from curricula.stored import Series, group_series, logical_bytes
from curricula.wrong_answers import NOTHING, Gathering, Pool
from detectors.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MANIFEST", "Falsified", "Falsifying", "falsify"]

MANIFEST = "manifest.json"
_FORMAT, _VERSION = "foxing-falsify", 1
_WORK = ".work"
_MOST_NAMED = 1000


@dataclass(frozen=True)
class Falsifying:
    """What to make.

    Attributes:
        ratio: share of rows (0 to 1) with question and answer that get a wrong answer. The number of rows is rounded,
            halves up; where fewer have a wrong answer to give, it is these, and the manifest says so.
        seed: of which rows, and of which answers.
        relation: column whose equal values are one relation; None takes `relation` where there is one. Rows without a
            relation are grouped by the form of their question.
        subject: column with the subject: no answer that the data gives to the same subject and relation is drawn.
        question, answer: columns; None finds them as `foxing scan` does.
        rationale: templates with {answer} and perhaps {question}, one of which follows each answer, right or wrong;
            empty for none. ("plain",) takes those of `curricula.rationales`.
        layout: sizes of the output.

    Raises:
        ConfigError: a ratio outside 0 to 1, or a template without {answer}.
    """

    ratio: float = 0.25
    seed: int = 17
    relation: str | None = None
    subject: str | None = None
    question: str | None = None
    answer: str | None = None
    rationale: tuple[str, ...] = ()
    layout: Layout = field(default_factory=Layout)

    def __post_init__(self) -> None:
        if not 0.0 <= self.ratio <= 1.0:
            raise ConfigError(f"ratio {self.ratio!r} is not a share. Give a number from 0 to 1.")
        for template in self.templates:
            if "{answer}" not in template:
                raise ConfigError(f"rationale {template!r} does not say {{answer}}. Put it where the answer goes.")

    @property
    def templates(self) -> tuple[str, ...]:
        """The templates that are meant."""
        return RATIONALES if self.rationale == ("plain",) else self.rationale

    def wanted(self, answered: int) -> int:
        """How many of the rows with question and answer are to be wrong."""
        return int(self.ratio * answered + 0.5)


@dataclass(frozen=True)
class Falsified:
    """What was made.

    Attributes:
        path: of the manifest.
        signature: of the set.
        rows: in and out.
        answered: of these, rows with a question and an answer.
        offered: of these, rows for which a wrong answer was found.
        false: of these, rows that have it.
        wanted: rows that should have it.
        without: relation to answered rows for which none was found, most first, at most 1,000 relations.
        already: True when it was there before.
    """

    path: Path
    signature: str
    rows: int
    answered: int
    offered: int
    false: int
    wanted: int
    without: dict[str, int]
    already: bool


def falsify(
    paths: Sequence[str],
    out: Path | str,
    request: Falsifying | None = None,
    *,
    fresh: bool = False,
    advance: Callable[[str, int], None] = lambda phase, rows: None,
) -> Falsified:
    """Write OUT/data and, last, OUT/manifest.json.

    Args:
        paths: Parquet, JSONL, ... with questions and answers, instructions and outputs, or messages.
        out: a new or empty folder, or one that this made, or was making, before.
        request: what to make.
        fresh: replace what an earlier run left in `out`.
        advance: called with the phase ("gather", "choose", "write") and rows done.

    Raises:
        InputError: an input that cannot be read, or without questions and answers.
        ConfigError: `out` holds another set.
        OutputError: `out` must not or cannot be written; or a share is asked for and no row has a wrong answer.
    """
    chosen = request or Falsifying()
    folder = local_folder(out)
    refuse_inside(folder, paths)
    corpus = Corpus.open(paths)
    refuse_inside(folder, (), (shard.uri for shard in corpus.shards))
    inputs = [(shard.key, shard.uri, shard.digest()) for shard in corpus.shards]
    settings = dataclasses.asdict(chosen)
    run = config_hash([__version__, pa.__version__, settings, [(key, digest) for key, _, digest in inputs]])
    if (found := _finished(folder, run, fresh=fresh)) is not None:
        return found
    readings = [Reading.of(shard, chosen) for shard in corpus.shards]
    job = _Job(folder, chosen, readings, group_series(corpus.shards), advance)
    made, receipts = job.run(_signature(chosen, [digest for _, _, digest in inputs]))
    shutil.rmtree(folder / _WORK, ignore_errors=True)
    write_json(made.path, _record(made, run, inputs, settings, receipts))
    return made


def _signature(request: Falsifying, digests: Sequence[str]) -> str:
    settings = config_hash(dataclasses.asdict(dataclasses.replace(request, ratio=0.0, seed=0)))
    how = f"falsify:{_VERSION}:{settings[:4]}|ratio:{request.ratio:g}"
    return f"foxing:{__version__}|{how}|corpus:{corpus_hash(digests)[:4]}|seed:{request.seed}"


def _finished(folder: Path, run: str, *, fresh: bool) -> Falsified | None:
    """What is asked for, where it is there; else the folder is made, and what an unfinished run left is cleared."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file. Name a folder with -o.")
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    ours = MANIFEST in there or _WORK in there
    if there - {_WORK, "data", MANIFEST} or (there and not ours):
        raise OutputError(f"{folder}: is not empty and holds no output of foxing falsify. Choose a new folder.")
    if MANIFEST in there:
        record = _read(folder / MANIFEST)
        if record.get("format") != _FORMAT:
            raise OutputError(f"{folder}: holds the output of something else. Choose a new folder.")
        if record.get("run") == run and not fresh and _is_whole(folder, record):
            counts = record["counts"]
            return Falsified(
                path=folder / MANIFEST,
                signature=record["signature"],
                **{name: counts[name] for name in ("rows", "answered", "offered", "false", "wanted")},
                without=record["without_wrong_answer"],
                already=True,
            )
        if not fresh:
            raise ConfigError(f"{folder}: holds another set. Choose a new folder, or --fresh to replace it.")
    _clear(folder)
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be read ({error}). Choose a new folder.") from error
    return record if isinstance(record, dict) else {}


def _is_whole(folder: Path, record: dict[str, Any]) -> bool:
    files = [(folder / str(receipt["path"]), receipt["size_bytes"]) for receipt in record["data"]]
    return all(file.is_file() and file.stat().st_size == size for file, size in files)


def _clear(folder: Path) -> None:
    try:
        (folder / _WORK).mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder / "data", ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}). Check its rights.") from error


def _record(
    made: Falsified,
    run: str,
    inputs: Sequence[tuple[str, str, str]],
    settings: dict[str, object],
    receipts: Sequence[Receipt],
) -> dict[str, object]:
    """The manifest. Sums of row hashes are 16 hex digits, as in that of `foxing curate`."""
    counts = {name: getattr(made, name) for name in ("rows", "answered", "offered", "false", "wanted")}
    sums = [{"content": f"{one.content:016x}", "order": f"{one.order:016x}"} for one in receipts]
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "foxing": __version__,
        "signature": made.signature,
        "run": run,
        "settings": settings,
        "counts": counts,
        "without_wrong_answer": made.without,
        "inputs": [{"key": key, "uri": uri, "digest": digest} for key, uri, digest in inputs],
        "data": [dataclasses.asdict(one) | hexed for one, hexed in zip(receipts, sums, strict=True)],
    }


@dataclass(frozen=True)
class _Decided:
    """What is known of all rows, in corpus order, after the second pass."""

    wrong: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint64]
    rows: tuple[int, ...]
    answered: int
    without: Counter[str]

    def choices(self, wanted: int) -> Choices:
        """Wrong are the rows of the lowest hashes, as many as are wanted and to be had."""
        offered = np.flatnonzero(self.wrong != NOTHING)
        false = np.zeros(len(self.wrong), np.bool_)
        false[offered[np.argsort(self.hashes[offered], kind="stable")[:wanted]]] = True
        return Choices(self.wrong, false, self.hashes)


@dataclass(frozen=True)
class _Job:
    """One set to write into a folder that is ours."""

    out: Path
    request: Falsifying
    readings: Sequence[Reading]
    series: Sequence[Series]
    advance: Callable[[str, int], None]

    def run(self, signature: str) -> tuple[Falsified, list[Receipt]]:
        """Three passes; the manifest is not yet written."""
        gathering = Gathering(self.request.seed)
        for reading in self.readings:
            for questions in reading.batches():
                gathering.add(questions)
                self.advance("gather", len(questions.questions))
        pool = gathering.pool()
        decided = self._decide(pool)
        wanted = self.request.wanted(decided.answered)
        choices = decided.choices(wanted)
        offered = int((decided.wrong != NOTHING).sum())
        if wanted and not offered:
            raise OutputError(
                f"no wrong answer was found for any of {decided.answered:,} rows with question and answer. Rows of one "
                "relation need different answers: name the column that holds it with --relation."
            )
        receipts = self._write(pool, choices, decided.rows)
        made = Falsified(
            path=self.out / MANIFEST,
            signature=signature,
            rows=len(decided.wrong),
            answered=decided.answered,
            offered=offered,
            false=int(choices.false.sum()),
            wanted=wanted,
            without=dict(decided.without.most_common(_MOST_NAMED)),
            already=False,
        )
        return made, receipts

    def _decide(self, pool: Pool) -> _Decided:
        wrong: list[npt.NDArray[np.int32]] = [np.zeros(0, np.int32)]
        hashes: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
        rows: list[int] = []
        answered, without = 0, Counter[str]()
        for reading in self.readings:
            first = 0
            for questions in reading.batches():
                count = len(questions.questions)
                places = np.arange(first, first + count, dtype=np.int64)
                hashes.append(row_hash(reading.shard.key, places, self.request.seed))
                wrong.append(pool.choose(questions, hashes[-1]))
                some = np.asarray(pc.fill_null(pc.greater(pc.list_value_length(questions.answers), 0), False))
                none = pa.array(np.flatnonzero(some & (wrong[-1] == NOTHING)))
                without.update(questions.relations[0].take(none).to_pylist())
                answered += int(some.sum())
                first += count
                self.advance("choose", count)
            rows.append(first)
        return _Decided(np.concatenate(wrong), np.concatenate(hashes), tuple(rows), answered, without)

    def _write(self, pool: Pool, choices: Choices, rows: Sequence[int]) -> list[Receipt]:
        starts = np.concatenate([[0], np.cumsum(rows)]).tolist()
        receipts: list[Receipt] = []
        for series in self.series:
            maker = Maker(series, pool, self.request.templates)
            batches = (
                batch
                for at in series.shards
                for batch in maker.batches(self.readings[at], choices.slice(starts[at], rows[at]))
            )
            schema = maker.schema(self.readings[series.shards[0]].layout)
            receipts += self._write_series(series, schema, batches, sum(rows[at] for at in series.shards))
        return receipts

    def _write_series(
        self, series: Series, schema: pa.Schema, batches: Iterator[pa.RecordBatch], rows: int
    ) -> list[Receipt]:
        receipts: list[Receipt] = []
        writer: FileWriter | None = None
        for batch in batches:
            if writer is None:
                width = logical_bytes(batch) / max(1, batch.num_rows)
                target = Target(
                    out=LocalFolder(self.out),
                    temporary=self.out / _WORK,
                    series=series.name,
                    schema=schema,
                    hashed=len(schema),
                    compliant=series.compliant,
                )
                folder = "/".join(filter(None, ("data", series.name)))
                spans = cut(folder, [Section("", 0, rows)], [], self.request.layout.rows_per_file(width))
                writer = FileWriter(target, self.request.layout, spans, receipts.append)
            writer.write(batch)
            self.advance("write", batch.num_rows)
        if writer is not None:
            writer.close()
        return receipts
