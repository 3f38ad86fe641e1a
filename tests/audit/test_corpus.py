from __future__ import annotations

from pathlib import Path

import pytest

from audit.corpus import Corpus
from detectors.errors import FoxingError, InputError
from tests.corpora import texts, write_texts


def keys(*paths: object) -> list[str]:
    return [shard.key for shard in Corpus.open([str(path) for path in paths]).shards]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.parquet", "sub/a.parquet", "sub/deep/c.parquet", "_tmp/d.parquet", ".hidden.parquet"):
        write_texts(tmp_path / "data" / name, texts(3))
    (tmp_path / "data" / "README.md").write_text("about")
    return tmp_path / "data"


def test_folder_is_walked_and_hidden_names_are_passed_over(folder: Path) -> None:
    assert keys(folder) == ["b", "sub/a", "sub/deep/c"]


def test_globs_name_files_below_their_fixed_part(folder: Path) -> None:
    assert keys(f"{folder}/**/*.parquet") == ["b", "sub/a", "sub/deep/c"]
    assert keys(f"{folder}/sub/*.parquet") == ["a"]


def test_a_file_named_twice_is_one_shard(folder: Path) -> None:
    assert keys(folder, folder / "b.parquet") == ["b", "sub/a", "sub/deep/c"]


def test_shards_of_the_same_name_get_different_keys_and_keep_them(tmp_path: Path) -> None:
    one, two = (write_texts(tmp_path / side / "a.parquet", texts(2, seed)) for seed, side in enumerate(("x", "y")))
    corpus = Corpus.open([str(one), str(two)])
    assert len({shard.key for shard in corpus.shards}) == 2
    known = {shard.uri: shard.key for shard in corpus.shards}
    again = Corpus.open([str(two), str(one)], keys=known)
    assert {shard.uri: shard.key for shard in again.shards} == known


def test_keys_are_safe_paths(tmp_path: Path) -> None:
    write_texts(tmp_path / "data" / "a b;$(x)\n.parquet", texts(2))
    write_texts(tmp_path / "data" / "a b;$(y)\n.parquet", texts(2))
    found = keys(tmp_path / "data")
    assert len(set(found)) == 2
    assert all(key.isascii() and not set(key) & set(" ;$()\n/") for key in found)


def test_text_files_count_only_where_there_is_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.md").write_text("two")
    assert keys(tmp_path) == ["a", "b"]
    write_texts(tmp_path / "c.parquet", texts(2))
    assert keys(tmp_path) == ["c"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "nothing", "no such file or directory"),
        (lambda folder: f"{folder}/*.parquet", "no such file or directory"),
        (lambda folder: folder, "no data files"),
        (lambda folder: "s4://bucket/x", "s4://bucket/x"),
    ],
)
def test_what_is_not_there_is_named_with_a_remedy(tmp_path: Path, make: object, words: str) -> None:
    with pytest.raises(FoxingError, match=words):
        keys(make(tmp_path))  # type: ignore[operator]


def test_unknown_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="known format"):
        keys(tmp_path / "a.bin")


def test_any_fsspec_url_is_read(folder: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/x/a.parquet", (folder / "b.parquet").read_bytes())
    corpus = Corpus.open(["memory://bucket/x"])
    (shard,) = corpus.shards
    local = Corpus.open([str(folder / "b.parquet")]).shards[0]
    assert shard.key == "a" and shard.digest() == local.digest()
    assert [b.num_rows for b in shard.batches()] == [b.num_rows for b in local.batches()]
    assert [s.key for s in Corpus.open(["memory://bucket/*/*.parquet"]).shards] == ["x/a"]


def test_the_same_name_in_two_formats_is_two_shards(tmp_path: Path) -> None:
    write_texts(tmp_path / "a.parquet", texts(2))
    (tmp_path / "a.jsonl").write_text('{"text": "x"}')
    assert len(set(keys(tmp_path))) == 2
