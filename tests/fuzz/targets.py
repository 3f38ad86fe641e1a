"""What is fuzzed: valid seeds of each kind of input, and the code that may answer with a `FoxingError` at most."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzz.data_files import (
    arrow_seeds,
    compressed_seeds,
    csv_seeds,
    jsonl_seeds,
    parquet_seeds,
    reader,
    write,
    zstd_seeds,
)

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TARGETS", "Target", "seeds_of"]

Run = Callable[[bytes, Path], None]


@dataclass(frozen=True)
class Target:
    """A kind of input.

    Attributes:
        share: of a thousand inputs.
        seeds: makes valid inputs.
        run: reads one, with a folder that it may write to; raises FoxingError where the input is no good.
        tokens: words of the format.
    """

    share: int
    seeds: Callable[[], list[bytes]]
    run: Run
    tokens: Sequence[bytes] = ()


_SQL_SEEDS = [
    b"ai_text.margin >= 0.5e1",
    b"residue.hits > 0 AND (document.words >= 50 OR diversity.mattr < 0.4)",
    b"CASE WHEN document.words > 0 THEN 1.0 * residue.hits / document.words ELSE 0 END > 0.5",
    b"LOWER(source) LIKE '%web%' AND NOT (row IN (1, 2, 3)) AND document.words IS NOT NULL",
    b"POWER(document.words, 2) > 3 AND LN(document.words) BETWEEN 1 AND 2 AND COALESCE(diversity.mattr, 0) = 0",
    b"\"source\" || shard = 'ab' AND document.words % 2 = 1 AND -document.words < +3",
]
_SQL_TOKENS = [
    *(
        b" AND ",
        b" OR ",
        b"NOT ",
        b"(",
        b")",
        b" IS NULL",
        b"'",
        b'"',
        b",",
        b"--",
        b"/*",
        b";",
        b"*",
        b"::",
        b"||",
        b".",
    ),
    *(
        b"SELECT 1",
        b"(SELECT * FROM t)",
        b"read_csv('/etc/passwd')",
        b"read_parquet('x')",
        b"scan_csv(",
        b"FROM ",
        b"UNION ",
    ),
    *(
        b"COUNT(*)",
        b"OVER ()",
        b"EXISTS(",
        b"CAST(row AS INT)",
        b"INTERVAL '1'",
        b"ABS(",
        b"LIKE ",
        b"BETWEEN ",
        b"CASE WHEN ",
    ),
    *(
        b"document.words",
        b"ai_text.",
        b"nothing.here",
        b"1e308",
        b"row",
        b"errors",
        b"array_contains(errors, 'x')",
        b"/0",
    ),
]


@lru_cache(maxsize=1)
def _frame() -> pl.DataFrame:
    import polars as pl

    from audit.config import Config
    from audit.findings_folder import empty_part
    from audit.signals import build_signals

    empty = empty_part(build_signals(Config()))
    structs = {name: kind for name, kind in empty.schema.items() if isinstance(kind, pl.Struct)}
    row = {"shard": "a", "row": 1, "source": "web", "unmeasured": 0, "errors": ["x"]}
    rows = [row | {name: {} for name in structs}, row | dict.fromkeys(structs)]
    return pl.DataFrame(rows, schema=empty.schema)


def _rule(data: bytes, folder: Path) -> None:
    from audit.rules import evaluate, rules_from

    sql = data.decode("utf-8", "replace")
    rules = rules_from({"MY101": {"when": sql}})[-1:]
    evaluate(_frame(), rules)


_TOML_SEEDS = [
    b"""text = "content"
by = "domain"
signals = ["document", "diversity", "residue"]
seed = 3
workers = 2
[check]
budget = { FX101 = 0.02, FX102 = 0.0 }
select = ["FX1"]
strict = true
[curate]
curriculum = ["dedup", "human-first"]
allow_loss = 0.25
mix = { web = 0.5, books = 0.5 }
[allow]
source = ["synthetic-*"]
column = { "meta.kind" = ["made*"] }
[rule.FX101]
budget = 0.5
[rule.MY101]
name = "mine"
when = "document.words < 20"
action = "drop"
[signal.diversity]
min_words = 40
[stage.duplicates]
threshold = 0.7
""",
    b'[tool.foxing]\nsignals = ["document"]\n[tool.foxing.rule.FX302]\naction = "report"\n',
]
_TOML_TOKENS = [
    b"[rule.AB123]\n",
    b"when = 3\n",
    b"[[check]]\n",
    b'"""',
    b"'''",
    b"= ",
    b"nan",
    b"inf",
    b"1979-05-27",
    b"0x7f",
    b"{",
    b"}",
]


def _config(data: bytes, folder: Path) -> None:
    from audit.config import load_config
    from audit.rules import rules_from
    from audit.signals import build_signals, build_stages

    config = load_config(Path(write(folder, "foxing.toml", data)))
    rules_from(config.rules)
    build_signals(config)
    build_stages(config)


def _index_seeds() -> list[bytes]:
    from detectors.benchmark_index import BenchmarkIndex
    from detectors.documents import Documents

    items = Documents.from_texts(["which river runs through the old town of bern in the west", "two plus two is four"])
    made = BenchmarkIndex.from_documents(items, ["geo", "math"], ["1", "2"], question_words=[8, 4], answer_words=[3, 1])
    return [made.to_bytes()]


def _index(data: bytes, folder: Path) -> None:
    from detectors.benchmark_index import BenchmarkIndex

    BenchmarkIndex.from_bytes(data)


@lru_cache(maxsize=1)
def _sketch_table() -> pa.Table:
    from detectors.documents import Documents
    from detectors.sketches import Sketches
    from tests.corpora import texts

    state = Sketches().start()
    state.update(Documents.from_texts(list(texts(20))))
    table: pa.Table = state.table()
    return table


def _sketch_seeds() -> list[bytes]:
    row = _sketch_table().to_pylist()[0]
    return [value for value in row.values() if isinstance(value, bytes)]


def _sketch(data: bytes, folder: Path) -> None:
    from detectors.errors import FindingsError
    from detectors.frequent import FrequentItems
    from detectors.growth import Growth
    from detectors.histograms import LogHistogram
    from detectors.hyperloglog import HyperLogLog

    for kind in (FrequentItems, Growth, LogHistogram, HyperLogLog):
        try:
            kind.from_bytes(data)
        except FindingsError:
            continue


def _sketch_file_seeds() -> list[bytes]:
    sink = io.BytesIO()
    pq.write_table(_sketch_table(), sink, compression="zstd", use_dictionary=False)
    return [sink.getvalue()]


def _sketch_file(data: bytes, folder: Path) -> None:
    from audit.sketch_parts import read_sketches
    from detectors.sketches import rows_of

    rows_of(read_sketches(Path(write(folder, "sketch.parquet", data))))


def _manifest_seeds() -> list[bytes]:
    from tests.fuzz.made_manifest import manifest_bytes

    return [manifest_bytes()]


_JSON_TOKENS = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"../",
    b"/etc/passwd",
    b"\\u0000",
    b"\\ud800",
    b"s3://b/k",
    b"null",
    b"-",
]


def _manifest(data: bytes, folder: Path) -> None:
    from audit.folders import LocalFolder
    from curricula.manifest import accounting
    from curricula.manifest_reader import read_manifest

    found = read_manifest(Path(write(folder, "manifest.json", data)))
    accounting(found)
    found.totals()
    for receipt in (*found.data, *found.dropped):
        held = LocalFolder(folder).holds(receipt.path)
        assert not held or (folder / receipt.path).resolve().is_relative_to(folder.resolve()), receipt.path


def _record_seeds() -> list[bytes]:
    from tests.fuzz.made_manifest import scan_record

    return [scan_record()]


def _record(data: bytes, folder: Path) -> None:
    from audit.findings_folder import Findings

    write(folder, "scan.json", data)
    found = Findings.open(folder)
    found.signature()


def _part_seeds() -> list[bytes]:
    from tests.fuzz.made_manifest import part_bytes

    return [part_bytes()]


def _part(data: bytes, folder: Path) -> None:
    from audit.findings_folder import Findings
    from audit.parts import part_path, read_identity
    from tests.fuzz.made_manifest import one_part_record

    write(folder, "scan.json", one_part_record())
    path = part_path(folder, "document", "0", 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    read_identity(path)
    for _ in Findings.open(folder).parts():
        pass


def _reference_seeds() -> list[bytes]:
    record = {
        "format": "foxing-reference",
        "version": 1,
        "model": {"version": 4, "tier": "fast", "weights": "ab", "adjustment": ""},
        "by": "domain",
        "corpus": "00",
        "groups": {"web": {"n": 100, "above": [-1.0, 0.5, 2.0], "p_human": [0.5, 0.2, 0.0296]}},
    }
    return [json.dumps(record).encode()]


def _reference(data: bytes, folder: Path) -> None:
    from audit.reference_file import read_reference

    read_reference(Path(write(folder, "reference.json", data)))


TARGETS = {
    "parquet": Target(60, parquet_seeds, reader("a.parquet")),
    "arrow": Target(40, arrow_seeds, reader("a.arrow")),
    "jsonl": Target(180, jsonl_seeds, reader("a.jsonl"), _JSON_TOKENS),
    "jsonl.gz": Target(40, compressed_seeds, reader("a.jsonl.gz")),
    "jsonl.zst": Target(40, zstd_seeds, reader("a.jsonl.zst")),
    "csv": Target(40, csv_seeds, reader("a.csv"), [b'"', b",", b"\n", b'""']),
    "toml": Target(60, lambda: _TOML_SEEDS, _config, _TOML_TOKENS),
    "rule": Target(120, lambda: _SQL_SEEDS, _rule, _SQL_TOKENS),
    "index": Target(60, _index_seeds, _index),
    "sketch": Target(180, _sketch_seeds, _sketch),
    "sketch-file": Target(20, _sketch_file_seeds, _sketch_file),
    "manifest": Target(60, _manifest_seeds, _manifest, _JSON_TOKENS),
    "scan-record": Target(60, _record_seeds, _record, _JSON_TOKENS),
    "part": Target(20, _part_seeds, _part),
    "reference": Target(20, _reference_seeds, _reference, _JSON_TOKENS),
}


def seeds_of(name: str) -> list[bytes]:
    """Valid inputs of one target."""
    return TARGETS[name].seeds()
