"""The fuzz run itself, at a size that a test suite can afford, and that it notices a difference."""

from __future__ import annotations

import json
import sys

import pytest

from tests.bench import fuzz
from tests.detectors import reference


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fuzz", *arguments])
    return fuzz.main()


def test_kernels_agree_with_the_reference(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--documents", "600", "--seed", "3") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["documents"] >= 600 and report["differences"] == 0


def test_a_difference_is_an_error_that_shows_the_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "hash_word", lambda folded: 0)
    assert run(monkeypatch, "--documents", "600") == 1
    assert "hashes of b" in capsys.readouterr().err
