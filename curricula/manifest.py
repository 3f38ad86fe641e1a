"""The manifest: what went in, what came out, and the sums that prove that no row was lost or changed."""

from __future__ import annotations

import base64
import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audit.findings_folder import write_json
from curricula.part_files import Receipt
from curricula.sections import Section, Sections
from detectors.errors import FoxingError

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "NAME",
    "SUMS",
    "AccountingError",
    "InputShard",
    "Manifest",
    "SectionRecord",
    "SeriesRecord",
    "accounting",
    "modular_sum",
]

NAME = "manifest.json"
FORMAT = "foxing-manifest"
FORMAT_VERSION = 4
SUMS = ("content", "once_content", "kept_content", "kept_order", "dropped_content", "order")


class AccountingError(FoxingError):
    """The output does not account for every input row: a fault of foxing or of the machine. Nothing was committed."""


@dataclass(frozen=True)
class InputShard:
    """One input, and what became of its rows: rows = kept + dropped + errored.

    Attributes:
        key: its name in findings.
        uri: where it was when it was scanned.
        format: parquet, jsonl, arrow, csv or text.
        digest: `sha256:HEX` of the file.
        size_bytes: of the file.
        series: name of the series that its rows went to.
        rows: rows in.
        kept: rows with at least one copy in data/.
        rows_out: sum of copies.
        dropped: rows in dropped/.
        errored: rows that could not be read.
        unscored: kept rows without an AI score.
        exempt: rows on the allow-list.
        spared: of those, rows that a rule would have dropped otherwise.
        dropped_by: reason to rows dropped: each row at its first dropping rule, else at the curriculum, the budget or
            the mix that dropped it.
        hits: rule to rows hit.
        content: sum of row hashes, modulo 2^64 as all sums (see `curricula.row_hash`).
        once_content: the same over kept rows, each once: with `dropped_content` it makes `content`.
        kept_content: over kept rows, times copies.
        kept_order: the same, each hash bound to its output position.
        dropped_content: over dropped rows.
        edited: kept rows whose answer was replaced; all sums are over rows as they were read.
        unedited: kept rows whose answer was to be replaced, and which stayed as they were read: they have none that is
            text.
        schema: base64 of the Arrow schema where it is not that of the series (pandas row counts, types that Parquet has
            not); empty otherwise.
    """

    key: str
    uri: str
    format: str
    digest: str
    size_bytes: int
    series: str
    rows: int
    kept: int
    rows_out: int
    dropped: int
    errored: int
    unscored: int
    exempt: int
    spared: int
    dropped_by: Mapping[str, int]
    hits: Mapping[str, int]
    content: int
    once_content: int
    kept_content: int
    kept_order: int
    dropped_content: int
    edited: int
    unedited: int
    schema: str


@dataclass(frozen=True)
class SectionRecord:
    """A split or stage of a series: folder below data/SERIES ("" is that itself) and rows, copies counted."""

    name: str
    rows: int


@dataclass(frozen=True)
class SeriesRecord:
    """Shards of one schema and their output.

    Attributes:
        name: folder below data/ and dropped/; empty when there is one series.
        columns: name to Arrow type.
        dropped_columns: columns added in dropped/, in order shard, row, rules, score, dropped_by.
        changes: columns whose type Parquet cannot hold, in words.
        schema: base64 of the Arrow schema of the input, with key-value metadata.
        layout: `kind(columns)` of the rows where answers were replaced, else empty.
        original: column of data/, behind all others, with what stood there; null in rows that were not edited.
        sections: its output, in order.
        block: rows within which the order is random, see `curricula.sections.Sections`; 0 is none.
        seed: of that order.
    """

    name: str
    columns: Mapping[str, str]
    dropped_columns: tuple[str, ...]
    changes: tuple[str, ...]
    schema: str
    layout: str
    original: str
    sections: tuple[SectionRecord, ...]
    block: int
    seed: int

    @property
    def places(self) -> Sections:
        """Its output positions, divided and shuffled."""
        edges = np.cumsum([0, *(section.rows for section in self.sections)]).tolist()
        spans = zip(self.sections, itertools.pairwise(edges), strict=True)
        members = tuple(Section(section.name, start, stop) for section, (start, stop) in spans)
        return Sections(members, self.block, self.seed)

    def arrow_schema(self) -> pa.Schema:
        """The schema of the series' files in data/."""
        return decode_schema(self.schema)


@dataclass(frozen=True)
class Manifest:
    """The record of one curate, written last.

    Attributes:
        foxing: version that wrote it.
        signature: of the findings and the rules that decided.
        run: digest of everything that the output depends on.
        curricula: name and settings of each, and what it came to, where it says so.
        seed: of ties, shuffles and splits.
        request: budget, mix, shape, allow-list and how tokens are counted, as asked for.
        drop: rules whose rows were dropped.
        rules: rule id to its `when`, for all that judged.
        unranked: kept rows that the curriculum gave no rank: they follow the others in corpus order.
        plan: path, rows and sha256 of the plan.
        series: one a schema.
        inputs: in corpus order.
        sources: source to rows, kept, dropped, rows_out, exempt and spared.
        data: files of data/, in output order.
        dropped: files of dropped/, in corpus order.
        masks: files of mask/, one for each file of data/ whose form was asked for; their sums are 0.
    """

    foxing: str
    signature: str
    run: str
    curricula: tuple[Mapping[str, Any], ...]
    seed: int
    request: Mapping[str, Any]
    drop: tuple[str, ...]
    rules: Mapping[str, str]
    unranked: int
    plan: Mapping[str, Any]
    series: tuple[SeriesRecord, ...]
    inputs: tuple[InputShard, ...]
    sources: Mapping[str, Mapping[str, int]]
    data: tuple[Receipt, ...]
    dropped: tuple[Receipt, ...]
    masks: tuple[Receipt, ...]

    def totals(self) -> dict[str, int]:
        """Rows over all inputs: rows, kept, rows_out, dropped, errored, unscored, (un)edited, exempt, spared."""
        edits = ("edited", "unedited")
        names = ("rows", "kept", "rows_out", "dropped", "errored", "unscored", *edits, "exempt", "spared")
        return {name: sum(getattr(shard, name) for shard in self.inputs) for name in names}

    def dropped_by(self) -> dict[str, int]:
        """Reason to rows dropped, over all inputs."""
        reasons = dict.fromkeys(reason for shard in self.inputs for reason in shard.dropped_by)
        return {reason: sum(shard.dropped_by.get(reason, 0) for shard in self.inputs) for reason in reasons}

    def sections(self) -> dict[str, int]:
        """Split or stage to rows out, over all series; empty where the output is not divided."""
        names = dict.fromkeys(one.name for series in self.series for one in series.sections if one.name)
        return {
            name: sum(one.rows for series in self.series for one in series.sections if one.name == name)
            for name in names
        }

    def write(self, path: Path) -> None:
        """Write it, atomically, after asserting that every row is accounted for.

        Raises:
            AccountingError: it is not.
        """
        if problems := accounting(self):
            raise AccountingError(f"{path}: not written, rows do not add up ({'; '.join(problems[:3])}). Report this.")
        fields = {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}
        body = {name: _plain(value) for name, value in fields.items()}
        rules = {
            rule: {
                "when": when,
                "hits": sum(shard.hits.get(rule, 0) for shard in self.inputs),
                "dropped": sum(shard.dropped_by.get(rule, 0) for shard in self.inputs),
            }
            for rule, when in self.rules.items()
        }
        head = {"format": FORMAT, "version": FORMAT_VERSION, "row_hash": 1}
        sums = {"totals": self.totals(), "dropped_by": self.dropped_by(), "sections": self.sections()}
        write_json(path, {**head, **body, "rules": rules, **sums})


def accounting(manifest: Manifest) -> list[str]:
    """What does not add up, in words: rows per shard and rule, rows and sums per series and folder."""
    problems = []
    for shard in manifest.inputs:
        if shard.rows != shard.kept + shard.dropped + shard.errored:
            problems.append(
                f"{shard.key}: {shard.rows} rows in, "
                f"{shard.kept} kept + {shard.dropped} dropped + {shard.errored} errored"
            )
        if sum(shard.dropped_by.values()) != shard.dropped:
            problems.append(f"{shard.key}: {shard.dropped} rows dropped, {sum(shard.dropped_by.values())} by rules")
        if _wrap(shard.once_content + shard.dropped_content) != shard.content:
            problems.append(f"{shard.key}: kept and dropped rows are not the rows read")
        if shard.rows_out == shard.kept and shard.kept_content != shard.once_content:
            problems.append(f"{shard.key}: rows of data/ are not the kept rows, though none has copies")
    for series in manifest.series:
        shards = [shard for shard in manifest.inputs if shard.series == series.name]
        data = [receipt for receipt in manifest.data if receipt.series == series.name]
        dropped = [receipt for receipt in manifest.dropped if receipt.series == series.name]
        pairs = (
            ("rows in data/", sum(s.rows_out for s in shards), sum(r.rows for r in data)),
            ("rows of its sections", sum(s.rows_out for s in shards), series.places.rows),
            ("rows in dropped/", sum(s.dropped for s in shards), sum(r.rows for r in dropped)),
            ("content of data/", modular_sum(s.kept_content for s in shards), modular_sum(r.content for r in data)),
            ("order of data/", modular_sum(s.kept_order for s in shards), modular_sum(r.order for r in data)),
            (
                "content of dropped/",
                modular_sum(s.dropped_content for s in shards),
                modular_sum(r.content for r in dropped),
            ),
        )
        name = f"{series.name}: " if series.name else ""
        for section in series.places.members:
            rows = sum(file.rows for file in data if section.start <= file.first < section.stop)
            if rows != section.stop - section.start:
                what = section.name or "data/"
                problems.append(f"{name}{what}: {section.stop - section.start} rows, {rows} by the files")
        problems += [
            f"{name}{what}: {want} by the inputs, {got} by the files" for what, want, got in pairs if want != got
        ]
    return problems


def modular_sum(values: Any) -> int:
    """Sum modulo 2^64 of integers."""
    return _wrap(sum(values))


def _wrap(value: int) -> int:
    return value % 2**64


def encode_schema(schema: pa.Schema) -> str:
    """Base64 of the Arrow IPC form of a schema."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode("ascii")


def decode_schema(text: str) -> pa.Schema:
    """The schema that `encode_schema` encoded."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def same_schema(schema: pa.Schema, recorded: pa.Schema) -> bool:
    """Whether a schema is the recorded one, metadata included; names inside maps aside, which IPC does not carry."""
    return bool(decode_schema(encode_schema(schema)).equals(recorded, check_metadata=True))


def _plain(value: Any) -> Any:
    """JSON values; 64-bit sums as 16 hex digits, because JSON numbers lose bits in some readers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {spec.name: getattr(value, spec.name) for spec in dataclasses.fields(value)}
        return {name: f"{item:016x}" if name in SUMS else _plain(item) for name, item in fields.items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
