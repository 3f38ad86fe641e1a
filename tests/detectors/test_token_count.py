"""Tokens are those of the tokenizer, and which one it was is on record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.errors import SignalError
from detectors.protocols import Device
from detectors.token_count import TokenCount


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of words and marks, with a mark before each text that is not to be counted."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "[BOS]": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(single="[BOS] $A", special_tokens=[("[BOS]", 1)])
    made.enable_truncation(3)
    made.enable_padding()
    path = tmp_path_factory.mktemp("tokenizer")
    made.save(str(path / "tokenizer.json"))
    return path


def test_it_keeps_the_contract_of_a_signal(folder: Path) -> None:
    check_signal(TokenCount(str(folder)).pinned())


def test_tokens_are_counted_without_marks_truncation_and_padding(folder: Path) -> None:
    measure = TokenCount(str(folder / "tokenizer.json")).load(Device.CPU)
    found = measure(Documents.from_texts(["one two, three four", "", "a" * 50, None]))
    assert found["tokens"].to_pylist() == [5, 0, 1, 0]


def test_another_file_than_the_one_on_record_is_refused(folder: Path, tmp_path: Path) -> None:
    pinned = TokenCount(str(folder)).pinned()
    assert pinned.pinned() == pinned
    other = tmp_path / "tokenizer.json"
    other.write_text((folder / "tokenizer.json").read_text().replace("[UNK]", "[NIL]"))
    with pytest.raises(SignalError, match="tokenizer_digest is"):
        replace(pinned, tokenizer=str(other)).pinned()


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SignalError, match="no tokenizer is set"):
        TokenCount().pinned()
    with pytest.raises(SignalError, match="no such file"):
        TokenCount(str(tmp_path / "none")).pinned()
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SignalError, match="is no tokenizer"):
        TokenCount(str(tmp_path)).load(Device.CPU)
