"""The corpora of the bench: one that lies there, others made from it at run time in a scratch folder."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

REPOSITORY = Path(__file__).resolve().parents[2]
MIXED_BYTES = 100_000_000
_LANGUAGE_BYTES = 6_000_000
_MOST_COPIES = 4


def data_folder() -> Path:
    """Where development data lies: FOXING_DATA, by default ../shared/data."""
    return Path(os.environ.get("FOXING_DATA", REPOSITORY.parent / "shared" / "data"))


def web() -> Path | None:
    """40,000 English web pages, 117 MB of text; None where they are absent."""
    path = data_folder() / "bench" / "human_web_40k.parquet"
    return path if path.is_file() else None


def text_bytes(path: Path) -> int:
    """UTF-8 bytes of the text column."""
    total = 0
    for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(columns=["text"]):
        total += pc.sum(pc.binary_length(batch.column(0).cast(pa.large_binary()))).as_py() or 0
    return total


def mixed(folder: Path, size: int = MIXED_BYTES) -> Path | None:
    """Many languages, half of the text or more not English, shuffled; made of all detection sets. None without them.

    Small languages are repeated up to four times, as long as they stay below 6 MB; English fills what is left.
    """
    files = sorted((data_folder() / "detection").glob("*.parquet"))
    rows: dict[str, list[str]] = {}
    for file in files:
        table = pq.read_table(file, columns=["text", "lang"])
        for text, language in zip(table["text"].to_pylist(), table["lang"].to_pylist(), strict=True):
            if text:
                rows.setdefault(language or "und", []).append(text)
    if not rows:
        return None
    chosen: list[tuple[str, str]] = []
    used = 0
    for language, texts in sorted(rows.items()):
        if language != "en":
            one = sum(len(text.encode()) for text in texts)
            copies = max(1, min(_MOST_COPIES, _LANGUAGE_BYTES // max(1, one)))
            chosen += [(text, language) for text in texts] * copies
            used += one * copies
    draw = random.Random(17)
    english = rows.get("en", [])
    draw.shuffle(english)
    for text in english:
        if used >= size:
            break
        chosen.append((text, "en"))
        used += len(text.encode())
    draw.shuffle(chosen)
    path = folder / "mixed.parquet"
    columns = {"text": [text for text, _ in chosen], "lang": [language for _, language in chosen]}
    pq.write_table(pa.table(columns), path, compression="zstd", row_group_size=5000)
    return path


def head(source: Path, rows: int, path: Path) -> Path:
    """The first rows of a file as a file of its own."""
    for batch in pq.ParquetFile(source).iter_batches(rows):
        pq.write_table(pa.Table.from_batches([batch]), path, compression="zstd")
        break
    return path


def repeated(source: Path, times: int, folder: Path) -> Path:
    """A folder with `times` files of the same bytes, which cost the disk of one."""
    folder.mkdir(parents=True)
    first = folder / "shard-00000.parquet"
    first.write_bytes(source.read_bytes())
    for number in range(1, times):
        os.link(first, folder / f"shard-{number:05d}.parquet")
    return folder


def one_row_group(source: Path, size: int, path: Path) -> Path:
    """At least `size` bytes of text in a single row group."""
    table = pq.read_table(source, columns=["text"])
    times = -(-size // max(1, text_bytes(source)))
    whole = pa.concat_tables([table] * times)
    pq.write_table(whole, path, compression="zstd", row_group_size=len(whole))
    return path


def one_document(source: Path, size: int, path: Path) -> Path:
    """One row whose text has about `size` bytes."""
    texts: Sequence[str] = pq.ParquetFile(source).read_row_group(0, columns=["text"])["text"].to_pylist()
    joined = "\n\n".join(texts)
    whole = joined * (size // len(joined.encode()) + 1)
    pq.write_table(pa.table({"text": pa.array([whole[:size]], pa.large_string())}), path, compression="zstd")
    return path
