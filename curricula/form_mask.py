"""Rows of which only the form is learnt, or forgotten: tokens of the skeleton of an answer or text, not its content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.layout import Kind, Layout
from curricula.encoding import Encoded, Encoder, pieces_of
from detectors.documents import Documents
from detectors.errors import InputError
from detectors.template_spans import template_spans

__all__ = ["form_rows"]

Bools = npt.NDArray[np.bool_]


def form_rows(encoder: Encoder, batch: pa.RecordBatch, layout: Layout, *, template: str) -> Iterator[Encoded | None]:
    """The rows of a batch, in which the tokens that share a byte with the form are learnt, and no others.

    Form is what `detectors.template_spans` says: function words and stops of the first elements, labels, list marks.
    None where a row has no text or no form.

    Args:
        encoder: cuts rows into tokens.
        batch: rows as read.
        layout: of the columns: plain text, or questions with answers, of which the answer's form is meant.
        template: of questions with answers.

    Raises:
        InputError: chats.
    """
    if layout.kind is Kind.CHAT:
        raise InputError(f"{layout}: the form of chats is not known. Give questions with answers, or plain text.")
    taken = list(pieces_of(batch, layout, template))
    texts: list[str | bytes | None] = [pieces[-1].text if pieces else None for pieces in taken]
    for pieces, text, spans in zip(taken, texts, template_spans(Documents.from_texts(texts)).to_pylist(), strict=True):
        found = encoder.encode(pieces) if pieces else None
        if found is None or not isinstance(text, str):
            yield None
            continue
        form = _in_form(encoder, text, [(span["start"], span["stop"]) for span in spans])
        learnt = np.zeros(len(found.ids), np.bool_)
        learnt[len(learnt) - 1 - len(form) : len(learnt) - 1] = form  # the end mark is behind them
        yield replace(found, learnt=learnt) if learnt.any() else None


def _in_form(encoder: Encoder, text: str, spans: Sequence[tuple[int, int]]) -> Bools:
    """bool[t]: whether each token of a text shares a byte with a span."""
    offsets = np.array(encoder.tokenizer.encode(text, add_special_tokens=False).offsets, np.int64).reshape(-1, 2)
    sizes = np.array([len(character.encode("utf-8", "surrogatepass")) for character in text], np.int64)
    at = np.concatenate([[0], np.cumsum(sizes)])[offsets]
    found = np.zeros(len(at), np.bool_)
    for start, stop in spans:
        found |= (at[:, 0] < stop) & (at[:, 1] > start)
    return found
