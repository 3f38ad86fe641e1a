from __future__ import annotations

from pathlib import Path

import pytest

from audit.corpus import Corpus
from audit.storage import stat
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


def test_text_files_are_documents_and_notices_are_not(tmp_path: Path) -> None:
    for name in ("a.txt", "b.md", "README.md", "readme_zh.txt", "LICENSE.txt", "Changelog.md", "c.json", "d.png"):
        (tmp_path / name).write_text("x")
    (tmp_path / "e.csv").write_text("text\nx\n")
    corpus = Corpus.open([str(tmp_path)])
    assert [shard.key for shard in corpus.shards] == ["a", "b", "e"]
    names = [Path(uri).name for uri in corpus.skipped]
    assert names == ["Changelog.md", "LICENSE.txt", "README.md", "c.json", "d.png", "readme_zh.txt"]


def test_what_is_named_is_never_passed_over(tmp_path: Path) -> None:
    for name in ("x/README.md", "y/README.md", "x/a.json", "x/b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert keys(f"{tmp_path}/*/README.md") == ["x/README", "y/README"]
    assert keys(f"{tmp_path}/x/*.json") == ["a"]
    both = Corpus.open([str(tmp_path / "x"), str(tmp_path / "x" / "a.json")])
    assert [shard.key for shard in both.shards] == ["a", "b"]
    assert [Path(uri).name for uri in both.skipped] == ["README.md"]


def test_a_folder_linked_into_itself_is_walked_once(tmp_path: Path) -> None:
    write_texts(tmp_path / "data" / "real" / "a.parquet", texts(2))
    (tmp_path / "data" / "real" / "again").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "data" / "alias").symlink_to("real", target_is_directory=True)
    assert keys(tmp_path / "data") == ["real/a"]


def test_links_to_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    write_texts(tmp_path / "elsewhere" / "a.parquet", texts(2))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert keys(tmp_path / "data") == ["link/a"]


def test_a_shard_that_changes_is_opened_anew(tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.parquet", texts(2))
    (shard,) = Corpus.open([str(path)]).shards
    assert sum(batch.num_rows for batch in shard.batches()) == 2
    write_texts(path, texts(300))
    assert sum(batch.num_rows for batch in shard.batches()) == 300


def test_a_store_that_tells_no_time_has_no_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    memory = fsspec.filesystem("memory")
    memory.pipe("/stamps/a.jsonl", b'{"text": "a"}')
    assert stat("memory://stamps/a.jsonl") is not None
    monkeypatch.setattr(MemoryFileSystem, "info", lambda self, path, **options: {"name": path, "size": 13})
    assert stat("memory://stamps/a.jsonl") is None
    (shard,) = Corpus.open(["memory://stamps/a.jsonl"]).shards
    assert shard.reader is not shard.reader
    assert [batch.num_rows for batch in shard.batches()] == [1]


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


def test_no_key_looks_like_a_part_of_findings(tmp_path: Path) -> None:
    write_texts(tmp_path / "a.parquet", texts(2))
    write_texts(tmp_path / "a" / "part-000000000000.parquet.parquet", texts(2))
    write_texts(tmp_path / "A.PARQUET" / "part-00000.parquet", texts(2))
    found = keys(tmp_path)
    assert len(set(found)) == 3 and "a" in found
    assert not any(piece.lower().endswith(".parquet") for key in found for piece in key.split("/"))


def test_a_file_that_is_linked_to_is_one_shard_under_its_own_name(tmp_path: Path) -> None:
    write_texts(tmp_path / "data" / "z.parquet", texts(2))
    (tmp_path / "data" / "a.parquet").symlink_to("z.parquet")
    write_texts(tmp_path / "elsewhere.parquet", texts(2))
    for name in ("b.parquet", "c.parquet"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere.parquet")
    assert keys(tmp_path / "data") == ["b", "z"]
    assert keys(f"{tmp_path}/data/*.parquet") == ["b", "z"]


def test_links_to_files_that_are_gone_are_passed_over_by_name(tmp_path: Path) -> None:
    write_texts(tmp_path / "a.parquet", texts(2))
    (tmp_path / "b.parquet").symlink_to(tmp_path / "gone.parquet")
    for named in (tmp_path, f"{tmp_path}/*.parquet"):
        corpus = Corpus.open([str(named)])
        assert [shard.key for shard in corpus.shards] == ["a"]
        assert [Path(uri).name for uri in corpus.skipped] == ["b.parquet"]
    with pytest.raises(InputError, match="no data files"):
        keys(f"{tmp_path}/b*.parquet")
    with pytest.raises(InputError, match="no such file"):
        keys(tmp_path / "b.parquet")
