from __future__ import annotations

import io
import re

import pytest

from audit.cli import options
from audit.cli.options import Session
from detectors.compiling import tell_compiling


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(options, "time", made)
    return made


def scanned(clock: Clock, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, quiet: bool = False) -> str:
    """Three minutes of a scan of 1 MB of stored bytes and 3 MB of text a second, told once a second."""
    monkeypatch.setattr("sys.stderr", stream)
    with Session(quiet=quiet).progress("scan") as bar:
        for second in range(1, 181):
            clock.now += 1
            bar.update(second, 360, f"  {second:,} rows", text_mb=3.0 * second)
    return stream.getvalue()


def test_a_terminal_shows_share_rate_of_text_time_left_and_rows(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = scanned(clock, Terminal(), monkeypatch)
    lines = re.split(r"\r\x1b\[K", shown)
    assert lines[-2] == "scan  50%  180 of 360 MB  3.0 MB/s of text  3:00 left  180 rows"
    assert lines[-1] == "" and "\n" not in shown


def test_a_log_gets_one_line_a_minute(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = scanned(clock, io.StringIO(), monkeypatch).splitlines()
    assert [line.split()[1] for line in lines] == ["17%", "33%", "50%"]
    assert lines[0] == "scan  17%  60 of 360 MB  3.0 MB/s of text  5:00 left  60 rows"


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "log"])
def test_quiet_shows_nothing(clock: Clock, monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> None:
    assert scanned(clock, stream, monkeypatch, quiet=True).strip("\r\x1b[K") == ""


def test_what_an_earlier_run_did_does_not_count_as_speed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with Session().progress("scan") as bar:
        clock.now += 1
        bar.update(500, 1000, text_mb=0.0)
        for _ in range(60):
            clock.now += 1
            bar.update(500 + clock.now - 1001, 1000, text_mb=clock.now - 1001)
    assert "1.0 MB/s of text  7:20 left" in stream.getvalue().split("\r")[-2]


def test_another_phase_starts_its_own_rate(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with Session().progress("scan", unit="rows") as bar:
        for done in (100, 200, 1, 2):
            clock.now += 1
            bar.update(done, 200)
    assert "2 of 200 rows  1.0 rows/s  3:18 left" in stream.getvalue()


def test_a_cold_compile_is_told_once_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with Session().progress("scan"):
        tell_compiling(True)
        tell_compiling(True)
    assert re.fullmatch(r"compiling kernels for this machine \(about \d+ s, once\) \.\.\.\n", stream.getvalue())
    with Session().progress("scan"):
        tell_compiling(False)
    assert "NUMBA_CACHE_DIR" in stream.getvalue()


def test_quiet_says_nothing_of_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with Session(quiet=True).progress("scan"):
        tell_compiling(True)
    assert stream.getvalue() == ""
