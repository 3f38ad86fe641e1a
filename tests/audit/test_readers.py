from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from audit.readers import Format, JsonLinesReader, Sequential, ShardError, open_reader
from tests.corpora import awkward_table, write_parquet


def read(path: Path) -> pa.Table:
    form = Format.of(path.name)
    assert form is not None
    reader = open_reader(str(path), form)
    return pa.Table.from_batches(reader.batches(None, None), schema=reader.schema())


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.parquet", Format.PARQUET),
        ("a.jsonl", Format.JSONL),
        ("a.JSONL.GZ", Format.JSONL),
        ("a.ndjson.zst", Format.JSONL),
        ("a.arrow", Format.ARROW),
        ("a.csv.gz", Format.CSV),
        ("a.txt", Format.TEXT),
        ("a.png", None),
        ("parquet.bin", None),
    ],
)
def test_format_follows_the_name(name: str, form: Format | None) -> None:
    assert Format.of(name) is form


def test_parquet_batches_are_the_original_arrow_data(tmp_path: Path) -> None:
    table = awkward_table(250)
    path = write_parquet(tmp_path / "a.parquet", table)
    found = read(path)
    assert found.schema.equals(pq.read_schema(path), check_metadata=True)
    assert found.schema.metadata[b"owner"] == b"x"
    assert found.to_pylist() == table.to_pylist()
    assert pa.types.is_dictionary(found.schema.field("source").type)


def test_parquet_row_groups_are_read_alone(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", awkward_table(250))
    reader = open_reader(str(path), Format.PARQUET)
    assert reader.groups is not None and [group.rows for group in reader.groups] == [100, 100, 50]
    keys = [key for batch in reader.batches(["key"], range(1, 2)) for key in batch.column("key").to_pylist()]
    assert keys == [f"k{i}" for i in range(100, 200)]


def select(path: Path, *columns: str) -> pa.Table:
    form = Format.of(path.name)
    assert form is not None
    return pa.Table.from_batches(open_reader(str(path), form).batches(columns, None))


def test_a_dotted_column_and_a_field_of_a_struct_are_told_apart(tmp_path: Path) -> None:
    struct = pa.array([{"a": "inner", "b": 1}])
    path = write_parquet(tmp_path / "a.parquet", pa.table({"text.a": ["top"], "text": struct}))
    assert select(path, "text.a").to_pylist() == [{"text.a": "top"}]
    assert select(path, "text").to_pylist() == [{"text": {"a": "inner", "b": 1}}]
    alone = write_parquet(tmp_path / "b.parquet", pa.table({"text": struct}))
    with pytest.raises(ShardError, match=r"no column 'text\.a'"):
        select(alone, "text.a")


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.arrow"])
def test_a_column_that_is_there_twice_is_named(tmp_path: Path, name: str) -> None:
    table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["text", "text"])
    path = tmp_path / name
    if name == "a.parquet":
        write_parquet(path, table)
    elif name == "a.csv":
        path.write_text("text,text\nx,y\n")
    else:
        path.write_bytes(arrow_bytes(table, stream=False))
    with pytest.raises(ShardError, match="2 columns are named 'text'") as caught:
        select(path, "text")
    assert caught.value.code == "FX902"
    assert read(path).num_columns == 2


def test_a_parquet_footer_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    original = pq.ParquetFile

    def opened(source: object, **options: object) -> pq.ParquetFile:
        given.append(options.get("metadata"))
        return original(source, **options)

    path = write_parquet(tmp_path / "a.parquet", awkward_table(250))
    monkeypatch.setattr("audit.readers.parquet.pq.ParquetFile", opened)
    reader = open_reader(str(path), Format.PARQUET)
    for group in range(2):
        assert sum(batch.num_rows for batch in reader.batches(["key"], range(group, group + 1))) == 100
    assert [metadata is None for metadata in given] == [True, False, False]


def arrow_bytes(table: pa.Table, *, stream: bool) -> bytes:
    sink = io.BytesIO()
    opened = pa.ipc.new_stream if stream else pa.ipc.new_file
    with opened(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("stream", [False, True])
def test_arrow_ipc_round_trips(tmp_path: Path, stream: bool, ending: str) -> None:
    table = awkward_table(5000)
    path = tmp_path / f"a.arrow{ending}"
    path.write_bytes(compressed(arrow_bytes(table, stream=stream), ending))
    assert read(path).equals(table)


def test_a_compressed_arrow_file_is_torn_wherever_it_is_cut(tmp_path: Path) -> None:
    whole = zstandard.compress(arrow_bytes(awkward_table(5000), stream=False))
    for size in (len(whole) // 3, len(whole) * 2 // 3, len(whole) - 4):
        path = tmp_path / f"{size}.arrow.zst"
        path.write_bytes(whole[:size])
        with pytest.raises(ShardError, match=r"torn|Arrow IPC"):
            read(path)


LINES = [
    {"text": "one", "n": 1},
    {"text": None, "late": [1, 2]},
    {"text": "drei ß 漢", "n": 2, "nested": {"a": 1, "b": ["x"]}},
    {"n": None, "mixed": 1},
    {"mixed": "two", "text": "five"},
]


def compressed(data: bytes, ending: str) -> bytes:
    if ending == ".gz":
        return gzip.compress(data)
    return zstandard.compress(data) if ending == ".zst" else data


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_jsonl_takes_late_keys_nulls_and_disagreeing_types(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(compressed("\n".join(json.dumps(line) for line in LINES).encode(), ending))
    table = read(path)
    assert table.column("text").to_pylist() == ["one", None, "drei ß 漢", None, "five"]
    assert table.column("n").to_pylist() == [1, None, 2, None, None]
    assert table.column("late").to_pylist() == [None, [1, 2], None, None, None]
    assert table.column("mixed").to_pylist() == [None, None, None, "1", '"two"']
    assert table.schema.field("mixed").metadata == {b"foxing": b"json"}


def test_jsonl_keys_that_first_appear_after_the_first_batch_are_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": "x"} if i < 5000 else {"text": "x", "late": i}) for i in range(5002)))
    assert read(path).column("late").to_pylist()[-3:] == [None, 5000, 5001]


def test_jsonl_keeps_invalid_utf8_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "caf\xe9"}\n{"text": "lone \\ud800"}\n{"text": "fine"}\n')
    assert read(path).column("text").to_pylist() == [b"caf\xe9", b"lone \xed\xa0\x80", b"fine"]


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b", "c"]),
            st.none()
            | st.booleans()
            | st.integers(-(2**70), 2**70)
            | st.floats(allow_nan=False)
            | st.text()
            | st.lists(st.integers(0, 9)),
        ),
        min_size=1,
        max_size=20,
    ).filter(any)
)
def test_jsonl_columns_hold_every_value(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    reader = JsonLinesReader(str(path))
    table = pa.Table.from_batches(reader.batches(None, None), schema=reader.schema())
    assert table.num_rows == len(rows)
    for key in {key for row in rows for key in row}:
        as_json = reader.schema().field(key).metadata is not None
        for row, value in zip(rows, table.column(key).to_pylist(), strict=True):
            told = json.loads(value) if as_json and value is not None else value
            wanted = row.get(key)
            if isinstance(told, bytes):
                assert isinstance(wanted, str) and told.decode("utf-8", "surrogatepass") == wanted
            else:
                assert told == wanted


def test_csv_keeps_every_field_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text,score\n007,"two\nlines, quoted",1.50\n8,,NA\n')
    assert read(path).to_pylist() == [
        {"id": "007", "text": "two\nlines, quoted", "score": "1.50"},
        {"id": "8", "text": "", "score": "NA"},
    ]


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_csv_is_read_compressed_and_with_a_byte_order_mark(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes(compressed(b'\xef\xbb\xbftext,"two\nlines"\n' + b"caf\xe9,1\n" * 5000, ending))
    assert open_reader(str(path), Format.CSV).names() == ["text", "two\nlines"]
    table = read(path)
    assert table.num_rows == 5000
    assert table.column("text").cast(pa.large_binary()).to_pylist()[-1] == b"caf\xe9"


@pytest.mark.parametrize("content", ["id,text", "id,text\n", "\ufeffid,text\r\n"])
def test_csv_of_a_header_alone_has_no_rows(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content, "utf-8", newline="")
    table = read(tmp_path / "a.csv")
    assert (table.num_rows, table.column_names) == (0, ["id", "text"])


def test_jsonl_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "a"}\n{"text": "b"}\n')
    assert read(tmp_path / "a.jsonl").column("text").to_pylist() == ["a", "b"]


def test_a_jsonl_column_is_the_same_read_alone_and_with_all(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows: list[dict[str, object]] = [
        {"n": i, "flag": i % 2 == 0, "tags": ["a"] * (i % 3), "meta": {"d": i}, "mixed": i if i < 4500 else "x"}
        for i in range(5000)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    whole = read(path)
    for name in whole.column_names:
        alone = select(path, name)
        assert alone.schema.field(name).equals(whole.schema.field(name), check_metadata=True)
        assert alone.column(name).to_pylist() == whole.column(name).to_pylist()
    assert whole.column("n").to_pylist() == list(range(5000))
    assert whole.column("mixed").to_pylist()[::4999] == ["0", '"x"']


def test_a_jsonl_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n')
    reader = open_reader(str(path), Format.JSONL)
    assert reader.schema().names == ["text"]
    path.write_text('{"other": 17}\n')
    assert reader.schema() == pa.schema([("other", pa.int64())])


def test_sampling_jsonl_reads_no_further_than_it_yields(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n' * 50_000 + "torn")
    reader = open_reader(str(path), Format.JSONL)
    assert isinstance(reader, Sequential)
    assert next(reader.sample(["text"])).num_rows == 4096
    batches = reader.sample(["text"])
    next(batches)
    assert reader.consumed_bytes == 4096 * len('{"text": "a"}\n')


def test_sampled_csv_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    long = "x" * 200_000
    path.write_bytes(b'\xef\xbb\xbfid\ttext\n\n1\tcaf\xe9\n2\t"two\nlines"\n3\t' + long.encode() + b"\n")
    reader = open_reader(str(path), Format.CSV)
    assert isinstance(reader, Sequential)
    sampled = pa.Table.from_batches(reader.sample(["text", "id"]))
    whole = pa.Table.from_batches(reader.batches(["text", "id"], None))
    assert sampled.equals(pa.table([column.cast(pa.large_binary()) for column in whole.columns], ["text", "id"]))
    assert sampled.column("text").to_pylist()[:2] == [b"caf\xe9", b"two\nlines"]


def test_text_file_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"bytes \xff as they are\n")
    assert read(path).to_pylist() == [{"path": str(path), "text": b"bytes \xff as they are\n"}]


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "FX903", "git lfs pull"),
        ("a.parquet", b"", "FX904", "0 bytes"),
        ("a.parquet", b"PAR1 torn", "FX904", "not a whole Parquet file"),
        ("a.jsonl", b'{"text": 1}\nnot json\n', "FX904", "line 2"),
        ("a.jsonl", b"[1]\n", "FX904", "not an object"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 999, mtime=0)[:-20], "FX904", "torn"),
        ("a.jsonl.zst", zstandard.compress(b'{"text": "x"}\n' * 999)[:-5], "FX904", "torn"),
        ("a.arrow", b"ARROW1\0\0rest", "FX904", "Arrow IPC"),
        ("a.csv", b"a,b\n1,2,3\n", "FX904", "CSV"),
        ("a.csv", b"\n\n", "FX904", "no header"),
        ("a.csv.zst", zstandard.compress(b"text\n" + b"x\n" * 9999)[:-5], "FX904", "torn"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 999, mtime=0)[:12] + b"\xff" * 30, "FX904", "torn"),
    ],
)
def test_a_file_that_cannot_be_read_says_which_and_why(
    tmp_path: Path, name: str, content: bytes, code: str, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ShardError) as caught:
        read(path)
    assert caught.value.code == code
    assert str(path) in str(caught.value) and words in str(caught.value)


def test_a_truncated_parquet_is_torn_wherever_it_is_cut(tmp_path: Path) -> None:
    whole = write_parquet(tmp_path / "whole.parquet", awkward_table(300)).read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        path = tmp_path / f"{share}.parquet"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ShardError):
            read(path)


@pytest.mark.parametrize(
    "values",
    [[1, 1.5], [1, True], [0.5, None, 2**53 + 1], [{"a": 1}, {"b": 2}], [[1], [1.5]], [{"a": [{}]}], [[{"a": 1}, {}]]],
    ids=str,
)
@pytest.mark.parametrize("apart", [0, 5000])
def test_jsonl_values_that_no_one_type_holds_stay_as_they_were(
    tmp_path: Path, values: list[object], apart: int
) -> None:
    path = tmp_path / "a.jsonl"
    between = [{"text": "x"}] * apart
    rows = [row for value in values for row in ({"text": "x", "v": value}, *between)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    column = read(path).column("v").drop_null().to_pylist()
    assert column == [json.dumps(value) for value in values if value is not None]


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_jsonl_numbers_that_are_not_finite_stay_as_they_are_written(tmp_path: Path, number: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"v": 1.5, "w": {{"a": [{number}, "Infinity"]}}}}\n{{"v": {number}}}\n')
    table = read(path)
    assert table.column("v").to_pylist() == ["1.5", number]
    assert table.column("w").to_pylist() == [f'{{"a": [{number}, "Infinity"]}}', None]


def test_jsonl_objects_whose_keys_differ_in_order_alone_are_structs(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"m": {"a": 1, "b": "x"}}\n{"m": {"b": null, "a": 2}}\n')
    table = read(path)
    assert table.schema.field("m").type == pa.struct([("a", pa.int64()), ("b", pa.string())])
    assert table.column("m").to_pylist() == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text": "a", "text": "b"}', "line 2 holds the key 'text' twice"),
        ('{"text": "a", "m": [{"k": 1, "k": 1}]}', "line 2 holds the key 'k' twice"),
        ('{"\\ud800": 1}', r"line 2 holds the key '\ud800', which is no valid Unicode"),
    ],
)
def test_jsonl_keys_that_no_table_takes_are_named_with_their_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n' + line)
    with pytest.raises(ShardError) as caught:
        open_reader(str(path), Format.JSONL).schema()
    assert words in str(caught.value)


def test_jsonl_names_include_keys_that_come_late(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\n' * 5000 + '{"id": 2, "text": "x"}\n')
    reader = open_reader(str(path), Format.JSONL)
    assert reader.names() == ["id", "text"]
    assert isinstance(reader, Sequential)
    assert [batch.num_rows for batch in reader.sample(["text"])] == [4096, 905]


def test_csv_that_is_not_all_utf8_is_binary_wherever_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,n\n" + "größe,1\n".encode() * 9000)
    assert open_reader(str(path), Format.CSV).schema() == pa.schema({"text": pa.large_string(), "n": pa.large_string()})
    path.write_bytes(b"text,n\n" + b"fine,1\n" * 9000 + b"caf\xe9,2\n")
    assert read(path).schema == pa.schema({"text": pa.large_binary(), "n": pa.large_binary()})
    copy = tmp_path / "copy.parquet"
    pq.write_table(read(path), copy)
    assert pq.read_table(copy).column("text").to_pylist()[-1] == b"caf\xe9"


@pytest.mark.parametrize("ending", [".GZ", ".Zst"])
def test_compression_follows_the_name_whatever_its_case(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"UPPER.JSONL{ending}"
    path.write_bytes(compressed(b'{"text": "a"}\n', ending.lower()))
    assert read(path).column("text").to_pylist() == ["a"]


def test_small_row_groups_are_read_together(tmp_path: Path) -> None:
    table = awkward_table(5000)
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=1)
    reader = open_reader(str(path), Format.PARQUET)
    assert len(list(reader.batches(None, None))) < 5
    assert [batch.num_rows for batch in reader.batches(["key"], range(10, 20))] == [10]
    assert read(path).to_pylist() == table.to_pylist()


def test_large_row_groups_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": range(9000)}), path, row_group_size=3000)
    assert [b.num_rows for b in open_reader(str(path), Format.PARQUET).batches(None, None)] == [3000, 3000, 3000]


def test_small_row_groups_of_nested_dictionaries_are_read(tmp_path: Path) -> None:
    words = pa.array(["a", "b", "a"]).dictionary_encode()
    table = pa.table({"tags": pa.ListArray.from_arrays([0, 1, 2, 3], words)})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=1)
    assert read(path).to_pylist() == table.to_pylist()
