"""Output rows are input rows: every type, byte and metadata entry, in order, within bounded memory."""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from curricula.curate import Curated, Request, curate
from curricula.part_files import Layout
from curricula.row_hash import hash_rows
from curricula.scatter import Bounds
from curricula.verify import verify
from detectors.errors import InputError
from tests.corpora import texts, write_parquet
from tests.curricula.fake_findings import RULES, make_findings, margins, patch_calibration

SMALL = Layout(
    group_rows=64,
    group_bytes=40_000,
    file_bytes=120_000,
    unit_bytes=20_000,
    bounds=Bounds(chunk_bytes=8_000, bucket_bytes=20_000, fanout=3),
)


@pytest.fixture(autouse=True)
def _calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    patch_calibration(monkeypatch)


def awkward(rows: int, seed: int = 1) -> pa.Table:
    """Every kind of column that Parquet can hold, with nulls, duplicates and metadata."""
    rng = random.Random(seed)
    body = texts(rows, seed)
    columns: dict[str, tuple[pa.DataType, list[object]]] = {
        "key": (pa.string(), [f"{seed}-{i}" for i in range(rows)]),
        "text": (pa.large_string(), [None if i % 17 == 3 else body[i % 50] for i in range(rows)]),
        "view": (pa.string_view(), [None if i % 5 == 0 else body[i % 7] for i in range(rows)]),
        "views": (pa.list_(pa.string_view()), [[body[i % 3], None] if i % 4 else None for i in range(rows)]),
        "blob": (pa.binary(), [bytes([i % 256, 0, 255]) for i in range(rows)]),
        "fixed": (pa.binary(3), [b"abc" if i % 2 else None for i in range(rows)]),
        "source": (pa.dictionary(pa.int32(), pa.string()), [("web", "books", None)[i % 3] for i in range(rows)]),
        "unique": (pa.dictionary(pa.int32(), pa.string()), [f"url/{seed}/{i}" + "x" * 90 for i in range(rows)]),
        "late": (pa.float32(), [None] * (rows - 1) + [1.5]),
        "odd": (pa.float64(), [float("nan") if i % 3 else -0.0 for i in range(rows)]),
        "meta": (
            pa.struct([("p", pa.string()), ("tags", pa.list_(pa.string())), ("in", pa.struct([("n", pa.int8())]))]),
            [
                {"p": f"{i}", "tags": ["a", None][: i % 3], "in": None if i % 2 else {"n": 1}} if i % 7 else None
                for i in range(rows)
            ],
        ),
        "pairs": (
            pa.map_(pa.string(), pa.int64()),
            [None if i % 6 == 0 else [("a", i)] * (i % 3) for i in range(rows)],
        ),
        "vector": (pa.list_(pa.float32(), 3), [[i, None, 1.0] if i % 8 else None for i in range(rows)]),
        "listview": (pa.list_view(pa.int16()), [[1, 2][: i % 3] for i in range(rows)]),
        "ts": (
            pa.timestamp("ns", tz="Europe/Berlin"),
            [dt.datetime(2020, 1, 1 + i % 28, tzinfo=dt.UTC) for i in range(rows)],
        ),
        "span": (pa.duration("ms"), [dt.timedelta(days=i) for i in range(rows)]),
        "price": (pa.decimal128(20, 3), [decimal.Decimal(i) / 8 if i % 9 else None for i in range(rows)]),
        "big": (pa.decimal256(50, 0), [decimal.Decimal(10**40 + i) for i in range(rows)]),
        "half": (pa.float16(), [rng.choice([0.5, 2.0, None]) for _ in range(rows)]),
        "flag": (pa.bool_(), [None if i % 10 == 0 else i % 2 == 0 for i in range(rows)]),
        "nothing": (pa.null(), [None] * rows),
    }
    fields = [pa.field(name, kind, metadata={b"doc": name.encode()}) for name, (kind, _) in columns.items()]
    fields[0] = fields[0].with_nullable(False)
    arrays = [pa.array(values, kind) for kind, values in columns.values()]
    return pa.table(
        arrays, schema=pa.schema(fields, metadata={b"owner": b"x", b"note": "späße".encode(), b"raw": b"\xff\x00"})
    )


def run(folder: Path, inputs: list[Path], curriculum: str = "human-first", **fields: object) -> Curated:
    findings = make_findings(folder / "audit", inputs)
    request = Request(curriculum=(curriculum,), allow_loss=1.0, layout=SMALL, **fields)  # type: ignore[arg-type]
    return curate(findings, RULES, folder / "out", request)


def output(folder: Path, kind: str) -> list[pa.Table]:
    return [pq.read_table(file) for file in sorted((folder / "out" / kind).rglob("*.parquet"))]


def rows(table: pa.Table) -> list[int]:
    return [int(value) for batch in table.combine_chunks().to_batches() for value in hash_rows(batch)]


@pytest.mark.parametrize("curriculum", ["human-first", "original", "shuffled"])
def test_awkward_schema_comes_back_whole(tmp_path: Path, curriculum: str) -> None:
    inputs = [
        write_parquet(tmp_path / "in" / f"{name}.parquet", awkward(300, seed)) for name, seed in (("a", 1), ("b", 2))
    ]
    original = pa.concat_tables([pq.read_table(path) for path in inputs])
    made = run(tmp_path, inputs, curriculum, drop=("FX101",))
    data, dropped = output(tmp_path, "data"), output(tmp_path, "dropped")
    assert len(data) > 2
    assert dropped
    for table in data:
        assert table.schema.equals(original.schema, check_metadata=True)
    back = pa.concat_tables([*data, *(table.select(original.schema.names) for table in dropped)])
    assert back.schema.equals(original.schema, check_metadata=True)
    keys = original.column("key").to_pylist()
    at = {key: index for index, key in enumerate(back.column("key").to_pylist())}
    assert sorted(at) == sorted(keys)
    plain = [name for name in original.schema.names if "view" not in name]
    restored = back.select(plain).take([at[key] for key in keys])
    for name in set(plain) - {"odd"}:
        assert restored.column(name).to_pylist() == original.column(name).to_pylist(), name
    assert sorted(rows(back)) == sorted(rows(original))
    assert made.manifest.totals()["errored"] == 0
    assert verify(tmp_path / "out").problems == []


def test_order_holds_over_all_files(tmp_path: Path) -> None:
    found: dict[str, list[float | None]] = {
        f"{name}.parquet": margins(400, seed) for name, seed in (("a", 3), ("b", 4))
    }
    inputs = []
    for name, values in found.items():
        keys = [-1 if value is None else round(value * 100) for value in values]
        table = pa.table({"text": texts(400), "margin": pa.array(keys), "none": [value is None for value in values]})
        inputs.append(write_parquet(tmp_path / "in" / name, table))
    findings = make_findings(tmp_path / "audit", inputs, found)
    curate(findings, RULES, tmp_path / "out", Request(layout=SMALL))
    table = pa.concat_tables(output(tmp_path, "data"))
    plan = pq.read_table(tmp_path / "out" / "plan.parquet")
    scored = plan.num_rows - plan.column("score").null_count
    ordered = table.column("margin").to_pylist()[:scored]
    assert ordered == sorted(ordered)
    assert table.num_rows == 800


def test_recursive_reader_of_data_never_meets_a_dropped_row(tmp_path: Path) -> None:
    table = pa.table({"text": texts(300), "key": range(300)})
    inputs = [write_parquet(tmp_path / "in" / "a.parquet", table)]
    run(tmp_path, inputs, drop=("FX101", "FX201"))
    gone = set(ds.dataset(tmp_path / "out" / "dropped", format="parquet").to_table().column("key").to_pylist())
    kept = set(ds.dataset(tmp_path / "out" / "data", format="parquet").to_table().column("key").to_pylist())
    assert gone
    assert not gone & kept
    assert gone | kept == set(range(300))
    assert all(path.suffix == ".parquet" for path in (tmp_path / "out" / "data").rglob("*") if path.is_file())


def test_dropped_rows_carry_address_rules_and_score_in_corpus_order(tmp_path: Path) -> None:
    table = pa.table({"text": texts(300), "foxing_row": range(300)})
    inputs = [write_parquet(tmp_path / "in" / "a.parquet", table)]
    made = run(tmp_path, inputs, drop=("FX101",))
    assert made.manifest.series[0].dropped_columns == tuple(
        f"foxing2_{name}" for name in ("shard", "row", "rules", "score", "dropped_by")
    )
    dropped = pa.concat_tables(output(tmp_path, "dropped"))
    assert dropped.column("foxing2_row").to_pylist() == dropped.column("foxing_row").to_pylist()
    assert dropped.column("foxing2_row").to_pylist() == sorted(dropped.column("foxing2_row").to_pylist())
    assert set(dropped.column("foxing2_shard").to_pylist()) == {made.manifest.inputs[0].key}
    assert all("FX101" in rules for rules in dropped.column("foxing2_rules").to_pylist())
    assert min(dropped.column("foxing2_score").to_pylist()) > 0.6


def test_differing_schemas_are_not_coerced(tmp_path: Path) -> None:
    narrow, wide = pa.table({"text": texts(90)}), pa.table({"text": pa.array(texts(80), pa.large_string())})
    marked = narrow.replace_schema_metadata({b"k": b"v"})
    inputs = [
        write_parquet(tmp_path / "in" / f"{name}.parquet", t)
        for name, t in (("a", narrow), ("b", wide), ("c", marked), ("d", narrow))
    ]
    made = run(tmp_path, inputs)
    assert [series.name for series in made.manifest.series] == ["schema-00", "schema-01", "schema-02"]
    found = {
        path.name: sum(pq.read_metadata(file).num_rows for file in path.iterdir())
        for path in (tmp_path / "out" / "data").iterdir()
    }
    assert found == {"schema-00": 180, "schema-01": 80, "schema-02": 90}
    assert pq.read_schema(tmp_path / "out/data/schema-01/part-00000.parquet").field("text").type == pa.large_string()
    assert pq.read_schema(tmp_path / "out/data/schema-02/part-00000.parquet").metadata == {b"k": b"v"}
    assert verify(tmp_path / "out").problems == []


def test_pandas_row_counts_do_not_split_a_corpus(tmp_path: Path) -> None:
    note = '{"index_columns": [{"kind": "range", "start": 0, "stop": %d}], "columns": []}'
    inputs = [
        write_parquet(
            tmp_path / "in" / f"{n}.parquet", pa.table({"text": texts(n)}).replace_schema_metadata({"pandas": note % n})
        )
        for n in (30, 40)
    ]
    made = run(tmp_path, inputs)
    assert [series.name for series in made.manifest.series] == [""]
    assert [bool(shard.schema) for shard in made.manifest.inputs] == [False, True]
    assert verify(tmp_path / "out").problems == []


def test_list_items_named_the_old_way_keep_their_name(tmp_path: Path) -> None:
    table = pa.table({"text": texts(30), "tags": pa.array([["a"]] * 30, pa.list_(pa.field("item", pa.string())))})
    path = tmp_path / "in" / "a.parquet"
    path.parent.mkdir()
    pq.write_table(table, path, use_compliant_nested_type=False)
    run(tmp_path, [path])
    assert (
        output(tmp_path, "data")[0].schema.field("tags").type.value_field.name
        == pq.read_schema(path).field("tags").type.value_field.name
    )


def test_types_that_parquet_has_not_are_named_and_lose_no_value(tmp_path: Path) -> None:
    seconds = pa.array(range(40), pa.timestamp("s"))
    narrow = pa.array([i % 3 for i in range(40)]).dictionary_encode()
    table = pa.table({"text": texts(40), "ts": seconds, "code": narrow})
    path = tmp_path / "in" / "a.arrow"
    path.parent.mkdir()
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    made = run(tmp_path, [path], "original")
    assert len(made.manifest.series[0].changes) == 2
    (back,) = output(tmp_path, "data")
    assert back.to_pylist() == table.to_pylist()
    assert verify(tmp_path / "out").problems == []


def test_type_that_parquet_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    table = pa.table({"text": texts(4), "runs": pa.RunEndEncodedArray.from_arrays([4], ["x"])})
    path = tmp_path / "in" / "a.arrow"
    path.parent.mkdir()
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InputError, match="'runs' is run_end_encoded"):
        run(tmp_path, [path])


def test_one_huge_row_and_many_small_ones_keep_their_order(tmp_path: Path) -> None:
    body = ["y" * 10] * 400
    body[7] = "z" * 300_000
    body[390] = "w" * 200_000
    inputs = [
        write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": body, "key": range(400)}), rows_per_group=400)
    ]
    run(tmp_path, inputs, "shuffled")
    assert sorted(pa.concat_tables(output(tmp_path, "data")).column("key").to_pylist()) == list(range(400))
    assert verify(tmp_path / "out").problems == []


def test_sizes_of_memory_and_units_do_not_change_the_rows_of_files(tmp_path: Path) -> None:
    inputs = [write_parquet(tmp_path / "in" / f"{n}.parquet", pa.table({"text": texts(200, n)})) for n in range(3)]
    findings = make_findings(tmp_path / "audit", inputs)
    found = []
    for chunk, fanout, unit in ((1_000, 2, 1), (10**9, 200, 10**12)):
        bounds = Bounds(chunk_bytes=chunk, bucket_bytes=20_000, fanout=fanout)
        layout = Layout(group_rows=64, file_bytes=120_000, unit_bytes=unit, bounds=bounds)
        out = tmp_path / f"out-{fanout}"
        curate(findings, RULES, out, Request(layout=layout))
        files = sorted((out / "data").iterdir())
        found.append([hashlib.sha256(repr(pq.read_table(file).to_pylist()).encode()).hexdigest() for file in files])
    assert found[0] == found[1]
    assert len(found[0]) > 1
