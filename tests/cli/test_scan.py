from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Answer
from tests.corpora import texts, write_texts

Foxing = Callable[..., Answer]
LIGHT = ("--signals", "document", "--workers", "1")


def test_scan_says_what_was_measured_and_what_comes_next(foxing: Foxing, tmp_path: Path) -> None:
    write_texts(tmp_path / "a.parquet", list(texts(30)))
    answer = foxing("scan", tmp_path / "a.parquet", "-o", tmp_path / "out", *LIGHT)
    assert answer.code == 0 and answer.err == ""
    assert "30 rows in 1 shard: document" in answer.out
    assert "signature foxing:" in answer.out and "|seed:17" in answer.out
    assert f"foxing check {tmp_path / 'out'}" in answer.out
    again = foxing("scan", tmp_path / "a.parquet", "-o", tmp_path / "out", *LIGHT)
    assert "all findings were there" in again.out


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: d / "absent.parquet", "no such file"),
        (lambda d: (d / "x.parquet").write_bytes(b"torn") and d / "x.parquet", "not a whole Parquet file"),
        (lambda d: write_texts(d / "x.parquet", []), "no rows in all"),
        (lambda d: d, "no data files"),
    ],
)
def test_faults_of_the_input_are_one_line_and_exit_2(foxing: Foxing, tmp_path: Path, make: object, words: str) -> None:
    (tmp_path / "d").mkdir()
    answer = foxing("scan", make(tmp_path / "d"), "-o", tmp_path / "out", *LIGHT)  # type: ignore[operator]
    assert answer.code == 2 and answer.out == ""
    assert answer.err.startswith("foxing: error: ") and answer.err.count("\n") == 1
    assert words in answer.err and "Traceback" not in answer.err
    assert not (tmp_path / "out").exists()


def test_unwritable_output_is_one_line_and_exit_2(foxing: Foxing, tmp_path: Path) -> None:
    write_texts(tmp_path / "a.parquet", list(texts(3)))
    answer = foxing("scan", tmp_path / "a.parquet", "-o", "/proc/out", *LIGHT)
    assert answer.code == 2 and "/proc/out: cannot be written" in answer.err


def test_unknown_signal_and_setting_name_the_nearest(foxing: Foxing, tmp_path: Path) -> None:
    write_texts(tmp_path / "a.parquet", list(texts(3)))
    answer = foxing("scan", tmp_path / "a.parquet", "-o", tmp_path / "out", "--signals", "diversty")
    assert answer.code == 2 and "Did you mean 'diversity'?" in answer.err
    (tmp_path / "foxing.toml").write_text("[signal.diversity]\nmin_word = 3\n")
    answer = foxing(
        "scan", tmp_path / "a.parquet", "-o", tmp_path / "out", "--config", tmp_path / "foxing.toml", settings=True
    )
    assert answer.code == 2 and "Did you mean 'min_words'?" in answer.err


def test_a_shard_that_cannot_be_read_exits_2_but_the_others_stay(foxing: Foxing, tmp_path: Path) -> None:
    write_texts(tmp_path / "d" / "a.parquet", list(texts(30)))
    (tmp_path / "d" / "b.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    answer = foxing("scan", tmp_path / "d", "-o", tmp_path / "out", *LIGHT)
    assert answer.code == 2
    assert "30 rows in 1 shard" in answer.out and "git lfs pull" in answer.err
    assert (tmp_path / "out" / "scan.json").exists()


def test_dry_run_predicts_and_writes_nothing(foxing: Foxing, tmp_path: Path) -> None:
    found = texts(3000)
    write_texts(tmp_path / "a.parquet", list(found))
    answer = foxing("scan", tmp_path / "a.parquet", "-o", tmp_path / "out", "--dry-run", *LIGHT)
    assert answer.code == 0 and not (tmp_path / "out").exists()
    assert "1 shard, 3,000 rows, " in answer.out and "nothing was written" in answer.out
    told = float(answer.out.split("rows, ")[1].split(" MB")[0])
    assert told == pytest.approx(sum(map(len, found)) / 1e6, rel=0.2, abs=0.1)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Pipe:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)

    def isatty(self) -> bool:
        return False


def test_standard_input_is_jsonl_and_is_kept_so_that_it_can_be_curated(
    foxing: Foxing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts(5)).encode()
    monkeypatch.setattr("sys.stdin", Pipe(lines))
    assert "5 rows in 1 shard" in foxing("scan", "-", "-o", tmp_path / "out", *LIGHT).out
    assert (tmp_path / "out" / "stdin.jsonl").read_bytes() == lines
    monkeypatch.setattr("sys.stdin", Pipe(lines))
    assert "all findings were there" in foxing("scan", "-", "-o", tmp_path / "out", *LIGHT).out
    monkeypatch.setattr("sys.stdin", Pipe(lines + lines))
    answer = foxing("scan", "-", "-o", tmp_path / "out", *LIGHT)
    assert answer.code == 2 and "standard input differs" in answer.err
    assert (tmp_path / "out" / "stdin.jsonl").read_bytes() == lines
    monkeypatch.setattr("sys.stdin", Terminal())
    assert "is a terminal" in foxing("scan", "-", "-o", tmp_path / "out2", *LIGHT).err


def test_mixed_formats_are_one_corpus(foxing: Foxing, tmp_path: Path) -> None:
    write_texts(tmp_path / "d" / "a.parquet", list(texts(4)))
    (tmp_path / "d" / "b.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n{"text": "y"}\n'))
    (tmp_path / "d" / "c.csv").write_text("text,n\nhello,1\n")
    answer = foxing("scan", tmp_path / "d", "-o", tmp_path / "out", *LIGHT)
    assert answer.code == 0 and "7 rows in 3 shards" in answer.out


def test_a_tier_of_a_signal_that_is_not_measured_is_an_error(foxing: Foxing, tmp_path: Path) -> None:
    answer = foxing("scan", tmp_path, "-o", tmp_path / "a", "--signals", "document", "--ai-tier", "fast")
    assert answer.code == 2 and "--ai-tier: is for the signal ai_text" in answer.err
