"""Checks that a signal keeps its contract. Third parties call `check_signal(MySignal())` in their own tests."""

from __future__ import annotations

import dataclasses
import math
import pickle
import re
import time

import pyarrow as pa
import pyarrow.compute as pc

from detectors.documents import Documents
from detectors.pieces import LONG_BYTES, cuts_of, is_piecewise, pieces
from detectors.protocols import Device, Measure, Piecewise, Signal

__all__ = ["awkward_documents", "check_signal"]

_CONSTRUCTION_S = 0.05
_PICKLE_BYTES = 65_536
_BATCH_SIZES = (1, 2, 3, 7)
_READS = re.compile(r"text|response|column:.+")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def check_signal(signal: Signal, documents: Documents | None = None) -> None:
    """Check that `signal` is cheap configuration and that its measure can be trusted with any batch.

    The configuration: a frozen, picklable dataclass that is built without touching anything, with a well-formed name,
    version, `reads` and a schema whose fields all say what they hold. The measure: one row for each document and
    exactly the schema; no NaN (undefined is null); the same numbers again, from another `load`, however the rows are
    split into batches, and from slices of larger buffers; no error on null, empty, white, huge, invalid or odd text;
    the input left as it was. Rows whose text is null may hold anything. If it is piecewise, `combine` makes one such
    row of the pieces of a long document, of prose, of white space and of bytes that are no text.

    Args:
        signal: the signal to check.
        documents: a batch to measure, `awkward_documents(signal.reads)` by default. Pass one of your own for a signal
            that reads raw columns of a certain type, or that is slow.

    Raises:
        AssertionError: says what was promised, and what came instead.
    """
    _check_configuration(signal)
    _check_schema(signal)
    if documents is None:
        documents = awkward_documents(signal.reads)
    measure = signal.load(Device.CPU)
    before = _copied(documents.batch)
    found = _measured(signal, measure, documents)
    assert documents.batch.equals(before), f"{signal.name}: measuring changed the input batch"
    _check_same(signal, found, _measured(signal, measure, Documents(before)), documents, "measured twice")
    fresh = pickle.loads(pickle.dumps(signal)).load(Device.CPU)
    _check_same(signal, found, _measured(signal, fresh, Documents(before)), documents, "pickled and loaded again")
    for size in _BATCH_SIZES:
        parts = [_measured(signal, measure, documents.slice(start, size)) for start in range(0, len(documents), size)]
        joined = pa.Table.from_batches(parts, signal.schema)
        _check_same(signal, found, joined, documents, f"split into batches of {size}")
    shifted = pa.concat_batches([before.slice(len(before) // 2), before, before.slice(0, 1)])
    inner = Documents(shifted.slice(len(before) - len(before) // 2, len(before)))
    _check_same(signal, found, _measured(signal, measure, inner), documents, "sliced out of a larger batch")
    empty = _measured(signal, measure, documents.slice(0, 0))
    assert empty.num_rows == 0, f"{signal.name}: {empty.num_rows} rows for a batch of none"
    if is_piecewise(signal):
        _check_combine(signal, measure)


def awkward_documents(reads: tuple[str, ...] = ("text",)) -> Documents:
    """Documents that signals trip over: null, empty, white, one word, long, repetitive, invalid UTF-8, many scripts.

    Holds the text again as `response` and as each raw column in `reads` (`"column:NAME"`).
    """
    prose = (
        "The binding had come loose, and brown stains ran along the inner margin of every page. Nobody had opened "
        "the book since the flood! “Was it worth keeping?” she asked; he didn’t answer. J. Smith's notes of 1897, "
        "e.g. the list on p. 12, were legible still...\n\nThey dried it, leaf by leaf. It took 3.5 kg of paper. "
    )
    texts: list[str | bytes | None] = [
        prose,
        None,
        "",
        " ",
        "\n\n\t \r\n",
        "one",
        "no end",
        prose * 3,
        prose * 400,
        "word " * 5000,
        "x" * 100_000,
        "\n".join(["- the same line"] * 60),
        b"\xff\xfe\x00\x80",
        b"cut short \xe2\x82",
        b"surrogate \xed\xa0\x80, overlong \xc0\xaf, beyond \xf5\x80\x80\x80 and fine again",
        prose.encode() * 2 + b"\xc3",
        None,
        "nul \x00 and \x1b[31m control \x7f characters\u0085",
        "\ufeffbyte order mark",
        "😀😀 👩‍🚀 👍🏽 ❤️ 🇩🇪🇫🇷 1️⃣ 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "e\u0301te\u0301 \u0301alone Z\u0351\u036b\u0343\u036a\u0302A\u0336L\u0322G\u0301O\u0321",
        "Быстрая лиса прыгает через ленивую собаку. " * 8,
        "敏捷的棕色狐狸跳过了懒狗。" * 12,
        "素早い茶色の狐はのろまな犬を飛び越える。" * 8,
        "빠른 갈색 여우가 게으른 개를 뛰어넘는다. " * 12,
        "الثعلب البني السريع يقفز فوق الكلب الكسول. " * 8,
        "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है। " * 8,
        "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ " * 4,
        "ΟΔΟΣ οδός ΣΊΣΥΦΟΣ İstanbul STRASSE straße ǅ Å ﬁ",
        "a\u200bb c\u200dd e\u00adf \u202eright to left\u202c",
        "a,b,c\n1,2,3\n" * 30,
        '{"role": "user", "content": "<p>Hello&nbsp;there</p>"}',
        prose,
    ]
    columns = {"text": pa.array([t.encode() if isinstance(t, str) else t for t in texts], pa.large_binary())}
    if "response" in reads:
        columns["response"] = columns["text"]
    columns |= {read.removeprefix("column:"): columns["text"] for read in reads if read.startswith("column:")}
    return Documents(pa.record_batch(columns))


def _check_configuration(signal: Signal) -> None:
    kind = type(signal)
    parameters = getattr(kind, "__dataclass_params__", None)
    assert parameters is not None and parameters.frozen, f"{kind.__name__}: not a frozen dataclass (frozen=True)"
    assert isinstance(signal, Signal), f"{kind.__name__}: a signal has name, version, reads, schema and load(device)"
    for attribute in ("name", "version", "reads", "schema"):
        assert hasattr(kind, attribute), f"{kind.__name__}: {attribute} is not a class attribute"
        assert attribute not in _settings(signal), f"{kind.__name__}: {attribute} is a setting. Annotate it as ClassVar"
    assert isinstance(signal.name, str) and _NAME.fullmatch(signal.name), f"name {signal.name!r}: want {_NAME.pattern}"
    assert type(signal.version) is int and signal.version >= 1, (
        f"{signal.name}: version {signal.version!r}: want 1, 2, ..."
    )
    assert isinstance(signal.reads, tuple) and signal.reads, f"{signal.name}: reads {signal.reads!r}: want a tuple"
    for read in signal.reads:
        assert _READS.fullmatch(read), f"{signal.name}: reads {read!r}: want 'text', 'response' or 'column:NAME'"
    seconds = min(_construction_s(signal) for _ in range(3))
    assert seconds < _CONSTRUCTION_S, f"{signal.name}: building it takes {seconds:.3f} s. Move the work to load()"
    pickled = _pickled(signal)
    assert len(pickled) < _PICKLE_BYTES, f"{signal.name}: {len(pickled)} bytes pickled. Load models in load()"
    assert pickle.loads(pickled) == signal, f"{signal.name}: differs from itself after pickling"


def _settings(signal: Signal) -> list[str]:
    return [field.name for field in dataclasses.fields(signal) if field.init]  # type: ignore[arg-type]


def _pickled(signal: Signal) -> bytes:
    try:
        return pickle.dumps(signal)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise AssertionError(f"{signal.name}: cannot be pickled, so no worker can have it: {error}") from error


def _construction_s(signal: Signal) -> float:
    settings = {name: getattr(signal, name) for name in _settings(signal)}
    start = time.thread_time()
    again = type(signal)(**settings)
    seconds = time.thread_time() - start
    assert again == signal, f"{signal.name}: built again from the same settings, it differs"
    return seconds


def _check_schema(signal: Signal) -> None:
    schema: object = signal.schema
    assert isinstance(schema, pa.Schema), f"{signal.name}: schema is a {type(schema).__name__}"
    names = signal.schema.names
    assert names, f"{signal.name}: schema has no fields"
    assert len(set(names)) == len(names), f"{signal.name}: schema repeats a field name ({', '.join(names)})"
    for field in signal.schema:
        assert _NAME.fullmatch(field.name), f"{signal.name}: field {field.name!r}: want {_NAME.pattern}"
        assert (field.metadata or {}).get(b"doc"), f"{signal.name}: field {field.name!r} lacks metadata={{'doc': ...}}"
        assert field.nullable, f"{signal.name}: field {field.name!r} is not nullable, but rows without text are null"


def _measured(signal: Signal, measure: Measure, documents: Documents) -> pa.RecordBatch:
    try:
        found = measure(documents)
    except Exception as error:
        raise AssertionError(f"{signal.name}: raised {error!r} on {_described(measure, documents)}") from error
    assert isinstance(found, pa.RecordBatch), f"{signal.name}: measured a {type(found).__name__}, not a RecordBatch"
    assert found.num_rows == len(documents), f"{signal.name}: {found.num_rows} rows for {len(documents)} documents"
    _check_batch(signal, found)
    return found


def _check_batch(signal: Signal, found: pa.RecordBatch) -> None:
    assert found.schema.equals(signal.schema), f"{signal.name}: measured {found.schema}\nbut promised {signal.schema}"
    found.validate(full=True)
    for field, column in zip(found.schema, found.columns, strict=True):
        if pa.types.is_floating(field.type):
            nans = sum(math.isnan(v) for v in column.drop_null().to_pylist())
            assert nans == 0, f"{signal.name}: field {field.name!r} is NaN in {nans} rows. Undefined is null"


def _check_combine(signal: Signal, measure: Measure) -> None:
    assert isinstance(signal, Piecewise)
    prose = awkward_documents().texts()[0] or ""
    for text in (
        ((prose + "\n") * (LONG_BYTES // len(prose) + 1)).encode(),
        b" " * (LONG_BYTES + 1),
        b"\xff" * (LONG_BYTES + 1),
    ):
        long = Documents.from_texts([text])
        starts: list[int] = []
        found: list[pa.RecordBatch] = []
        for begins, piece in pieces(long, cuts_of(long)):
            starts += begins
            found.append(_measured(signal, measure, piece))
        combined = signal.combine(pa.concat_batches(found), starts)
        assert combined.num_rows == 1, f"{signal.name}: combine made {combined.num_rows} rows of one document"
        _check_batch(signal, combined)


def _described(measure: Measure, documents: Documents) -> str:
    """The first document that fails alone, for the message."""
    for i, text in enumerate(documents.texts()):
        try:
            measure(documents.slice(i, 1))
        except Exception:  # noqa: BLE001 - which row raises is what is looked for
            shown = "null" if text is None else f"{text[:60]!r} ({len(text)} characters)"
            return f"row {i} alone: {shown}"
    return f"a batch of {len(documents)} rows, though on none of them alone"


def _check_same(
    signal: Signal, expected: pa.RecordBatch, found: pa.RecordBatch | pa.Table, documents: Documents, when: str
) -> None:
    rows = pa.array(documents.valid).to_pylist()
    for name in signal.schema.names:
        for i, (want, got) in enumerate(zip(expected[name].to_pylist(), found[name].to_pylist(), strict=True)):
            assert not rows[i] or want == got, (
                f"{signal.name}: field {name!r} of row {i} is {got!r} {when}, but {want!r} in one batch"
            )


def _copied(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch([pc.take(column, pa.array(range(len(batch)))) for column in batch.columns], batch.schema)
