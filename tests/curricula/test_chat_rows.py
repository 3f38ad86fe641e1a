"""Chats as a model's own template renders them: what the assistant says is learnt, and nothing of its head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curricula.encoding import Encoded, Encoder, Message, trained_tokenizer
from curricula.training_rows import open_rows
from detectors.errors import ConfigError
from tests.detectors.tiny_models import need_torch

need_torch()


def rendered(messages: Sequence[Message]) -> str:
    """A template that trims, as several do, and opens with a mark."""
    return "^" + "".join(f"[{each['role']}]{each['content'].strip()}[end]" for each in messages)


def row_of(folder: Path, encoder: Encoder, *said: tuple[str, str]) -> Encoded:
    messages = [[{"role": role, "content": text} for role, text in said]]
    pq.write_table(pa.table({"messages": messages}), folder / "chat.parquet")
    row = next(iter(open_rows([str(folder / "chat.parquet")], encoder).read(0, 0))).encoded
    assert row is not None
    return row


@pytest.mark.parametrize("answer", ["a", "assistant", "ant]", " yes \n", "end", "user"])
def test_an_answer_that_its_head_holds_too_is_learnt_where_it_stands(tmp_path: Path, answer: str) -> None:
    encoder = replace(trained_tokenizer([], 0), chat=rendered)
    row = row_of(tmp_path, encoder, ("user", "a"), ("assistant", answer))
    assert encoder.tokenizer.decode(row.ids[~row.learnt].tolist()) == "^[user]a[end][assistant]"
    assert encoder.tokenizer.decode(row.ids[row.learnt].tolist()) == f"{answer.strip()}[end]"


def test_a_mark_that_the_template_writes_is_not_written_twice(tmp_path: Path) -> None:
    plain = trained_tokenizer([], 0)
    encoder = replace(plain, chat=rendered, start=tuple(plain.ids("^").tolist()))
    row = row_of(tmp_path, encoder, ("user", "hi"), ("assistant", "yo"))
    assert encoder.tokenizer.decode(row.ids.tolist()) == "^[user]hi[end][assistant]yo[end]"


def test_a_template_that_rewrites_what_was_said_is_refused(tmp_path: Path) -> None:
    def last_only(messages: Sequence[Message]) -> str:
        return messages[-1]["content"]

    encoder = replace(trained_tokenizer([], 0), chat=last_only)
    with pytest.raises(ConfigError, match="rewrites"):
        row_of(tmp_path, encoder, ("user", "hi"), ("assistant", "yo"))
