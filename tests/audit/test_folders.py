"""Folders of output: on disk and in a store they keep the same promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audit.folders import Folder, LocalFolder, open_folder
from detectors.errors import InputError, MissingExtraError, OutputError
from tests.stores import S3Server

Make = Callable[[], Folder]


@pytest.fixture(params=["disk", "s3", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "s3":
        request.getfixturevalue("s3")
        return open_folder("s3://bucket/a/out/")
    return open_folder(tmp_path / "out" if request.param == "disk" else f"memory://{tmp_path.name}/out")


def put(folder: Folder, tmp_path: Path, name: str, body: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(body)
    folder.put(file, name)
    assert not file.exists(), "it was moved"


def test_files_go_in_and_come_out(folder: Folder, tmp_path: Path) -> None:
    assert (folder.names(), folder.sizes(), folder.size("a"), folder.sizes("data")) == (set(), {}, None, {})
    for name, body in (("data/x/b.bin", b"123"), ("data/a.bin", b"4"), ("top.json", b"{}")):
        put(folder, tmp_path, name, body)
    put(folder, tmp_path, "data/a.bin", b"45")
    assert folder.names() - {".work"} == {"data", "top.json"}
    assert folder.sizes("data") == {"data/x/b.bin": 3, "data/a.bin": 2}
    assert folder.sizes() == {**folder.sizes("data"), "top.json": 2}
    assert (folder.size("data/a.bin"), folder.size("data"), folder.size("none")) == (2, None, None)
    with folder.open("top.json") as handle:
        assert handle.read() == b"{}" == folder.read("top.json")
    with folder.fetched("data/x/b.bin") as file:
        assert file.read_bytes() == b"123"
    with pytest.raises(FileNotFoundError), folder.open("none"):
        pass
    with pytest.raises(FileNotFoundError):
        folder.read("none")
    with pytest.raises(FileNotFoundError), folder.fetched("none") as file:
        file.read_bytes()
    folder.remove("data")
    folder.remove("never")
    folder.remove("top.json")
    assert folder.sizes() == {}


@pytest.mark.parametrize("name", ["../up", "a/../../up", "/etc/passwd", "a\0b"])
def test_names_that_lead_out_are_told(folder: Folder, name: str) -> None:
    assert not folder.holds(name)
    assert folder.holds("data/part-00000.parquet")


def test_links_that_lead_out_are_told(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path)
    assert not LocalFolder(tmp_path / "out").holds("link/secret")


def test_a_large_file_is_sent_in_parts_and_is_not_there_before_the_last(tmp_path: Path, s3: S3Server) -> None:
    file = tmp_path / "large"
    with file.open("wb") as handle:
        handle.truncate(40 << 20)
    there: list[list[str]] = []
    s3.on_request = lambda asked: there.append(s3.objects()) if "PUT part" in asked else None
    s3.fail("PUT part", 503, 1)
    open_folder("s3://bucket/out").put(file, "data/large")
    assert s3.requests["PUT part"] == 4 and s3.requests["POST complete"] == 1
    assert there and not any(there), "one part was tried again, and none made the file visible"
    assert s3.objects() == ["out/data/large"]


def test_what_another_client_wrote_meanwhile_is_seen(s3: S3Server) -> None:
    folder = open_folder("s3://bucket/out")
    s3.put("out/first.json", b"1")
    assert (folder.names(), folder.size("first.json"), folder.size("second.json")) == ({"first.json"}, 1, None)
    s3.put("out/second.json", b"22")
    s3.put("out/first.json", b"333")
    assert (folder.size("first.json"), folder.size("second.json"), folder.read("first.json")) == (3, 2, b"333")


def test_urls_that_cannot_hold_output_are_refused() -> None:
    for url in ("http://h/out", "https://h/out", "s3://", "s3://bucket/*/out"):
        with pytest.raises(OutputError, match="cannot be written to"):
            open_folder(url)
    with pytest.raises(InputError, match="fsspec knows"):
        open_folder("nosuch://bucket/out")
    with pytest.raises((InputError, MissingExtraError)):
        open_folder("ftp://user:hunter2@h/out")


@pytest.mark.parametrize("path", ["out", "/a/out", "file:///a/out", "a:b", "data:2024/out"])
def test_what_is_no_url_is_a_path(path: str) -> None:
    assert isinstance(open_folder(path), LocalFolder)
