"""Rows as token ids to train on: what is learnt of a row, and with which tokenizer it is cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.layout import Kind, Layout
from audit.readers.jsonl import is_json_text, parse_json_text
from detectors.errors import ConfigError, InputError
from detectors.pretrained import quiet_transformers

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "TEMPLATE",
    "Encoded",
    "Encoder",
    "Piece",
    "accepted_of",
    "encoder_of",
    "parted",
    "pieces_of",
    "trained_tokenizer",
]

Ids = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
TEMPLATE = "Q: {prompt}\nA: {answer}"
"""How a question and its answer are put together; `foxing probe` asks in the same form."""
END, PAD = "<|end|>", "<|pad|>"
_BREAK = "\n\n"
_ROLES, _CONTENTS = ("role", "from"), ("content", "value")
_ASSISTANTS = ("assistant", "gpt", "model", "bot", "chatgpt")
_NAMES = {"human": "user", **dict.fromkeys(_ASSISTANTS, "assistant")}
_MARK = "\u2042foxing\u2042"
_CHATML = ("<|im_start|>", "<|im_end|>")
Message = dict[str, str]


@dataclass(frozen=True)
class Piece:
    """A run of a row's text, and whether it is learnt or only read."""

    text: str
    is_learnt: bool = True


@dataclass(frozen=True, eq=False)
class Encoded:
    """A row as tokens.

    Attributes:
        ids: int64[t].
        learnt: bool[t], whether the token counts in the loss.
        source: int64[s], what an encoder reads; None for a decoder.
    """

    ids: Ids
    learnt: Bools
    source: Ids | None = None


def pieces_of(batch: pa.RecordBatch, layout: Layout, template: str = TEMPLATE) -> Iterator[list[Piece]]:
    """The rows of a batch, taken apart; an empty list where a row has no text.

    Plain text is learnt whole. Of questions with answers the answer is learnt, and of a list of answers the first; of
    chats what the assistant says. Chats come as one piece a message, its role in front (see `Encoder.encode`).

    Args:
        batch: rows as read, with the columns of `layout`.
        layout: of the columns.
        template: with {prompt} and, last, {answer}.

    Raises:
        InputError: a column that holds no text.
    """
    columns = [_values(batch, name) for name in layout.columns]
    head, space, tail = parted(template)
    for values in zip(*columns, strict=True):
        if layout.kind is Kind.CHAT:
            yield [Piece(f"{role}\n{text}", role == "assistant") for role, text in _messages(values[0])]
        elif layout.kind is Kind.TEXT:
            text = _text(values[0])
            yield [Piece(text)] if text else []
        else:
            answer = next(iter(_accepted(values[-1])), "")
            prompt = _BREAK.join(part for part in map(_text, values[:-1]) if part)
            whole = prompt and answer
            yield [Piece(head.replace("{prompt}", prompt), False), Piece(space + answer + tail)] if whole else []


def parted(template: str) -> tuple[str, str, str]:
    """What of a template comes before an answer, the space that is cut with the answer, and what comes after it.

    Tokenizers join a space with the word that follows: cut otherwise, an answer would not be the tokens that a model
    writes.
    """
    before, _, after = template.partition("{answer}")
    head = before.rstrip(" ")
    return head, before[len(head) :], after


def accepted_of(batch: pa.RecordBatch, layout: Layout) -> list[list[str]]:
    """All answers of each row of questions: of a list, or of a struct whose `text` is one, each that is not empty."""
    return [_accepted(value) for value in _values(batch, layout.columns[-1])]


def _accepted(value: object) -> list[str]:
    inner = value.get("text") if isinstance(value, dict) else value
    return [text for text in map(_text, inner if isinstance(inner, list) else [inner]) if text]


def _values(batch: pa.RecordBatch, name: str) -> list[Any]:
    """Python values of a column; text that is stored as JSON comes parsed.

    Raises:
        InputError: a column of numbers, dates or truth values.
    """
    column, field = batch.column(name), batch.schema.field(name)
    if pa.types.is_primitive(field.type):
        raise InputError(f"column {name!r} holds {field.type}, not text. Cast it to strings, or name another column.")
    if is_json_text(field):
        return parse_json_text(column)
    return list(column.to_pylist())


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return _BREAK.join(filter(None, map(_text, value)))
    if isinstance(value, dict):
        return _text(value.get("text"))
    return value if isinstance(value, str) else ""


def _messages(value: object) -> Iterator[tuple[str, str]]:
    """(role, text) of each message; roles in the names of today."""
    for message in value if isinstance(value, list) else ():
        if isinstance(message, dict):
            role = next((message[key] for key in _ROLES if isinstance(message.get(key), str)), "user").lower()
            text = next((_text(message[key]) for key in _CONTENTS if key in message), "")
            yield _NAMES.get(role, role), text


@dataclass(frozen=True, eq=False)
class Encoder:
    """Cuts pieces into tokens.

    Attributes:
        tokenizer: without truncation and padding.
        start: ids in front of every row, such as a beginning-of-sequence mark.
        end: id behind every row, which is learnt.
        pad: id that fills blocks up; it is never learnt.
        chat: renders messages as the model was taught to read them; None is ChatML where the tokenizer has its marks,
            else `role: text`, a line each.
    """

    tokenizer: Tokenizer
    start: tuple[int, ...]
    end: int
    pad: int
    chat: Callable[[Sequence[Message]], str] | None = None

    @property
    def vocabulary(self) -> int:
        """Number of ids."""
        return int(self.tokenizer.get_vocab_size(with_added_tokens=True))

    def rows(
        self,
        batch: pa.RecordBatch,
        layout: Layout,
        *,
        pairs: bool = False,
        template: str = TEMPLATE,
        other: Sequence[str | None] | None = None,
    ) -> Iterator[Encoded | None]:
        """The rows of a batch; None where there is nothing to learn.

        Args:
            batch: rows as read.
            layout: of the columns.
            pairs: for an encoder-decoder: what comes before the answer is its source.
            template: of questions with answers.
            other: of each row, an answer that takes the place of its own; None leaves it.

        Raises:
            InputError: pairs or other answers are wanted, and the rows have none.
        """
        if other is not None and layout.kind is not Kind.ANSWER:
            raise InputError(f"{layout}: has no answers to relabel. Give questions with answers.")
        if pairs and layout.kind is not Kind.ANSWER:
            raise InputError(f"{layout}: no pairs. An encoder-decoder wants columns such as src and tgt.")
        template = "{prompt}{answer}" if pairs else template
        for row, pieces in enumerate(pieces_of(batch, layout, template)):
            if pieces and other is not None and (answer := other[row]) is not None:
                _, space, tail = parted(template)
                pieces = [pieces[0], Piece(space + answer + tail)]
            if not pieces:
                yield None
            elif pairs:
                yield self.pair(pieces[0].text, pieces[1].text)
            else:
                yield self.encode(pieces if layout.kind is not Kind.CHAT else self._rendered(pieces))

    def encode(self, pieces: Iterable[Piece]) -> Encoded | None:
        """The pieces one after the other, each cut on its own, with the marks of start and end; None if nothing."""
        runs = [(self.ids(piece.text), piece.is_learnt) for piece in pieces]
        if not any(len(ids) for ids, learnt in runs if learnt):
            return None
        opens = tuple(np.concatenate([ids for ids, _ in runs])[: len(self.start)].tolist()) == self.start
        start = np.array(() if opens else self.start, np.int64)  # a chat template has written it already
        ids = [start, *(ids for ids, _ in runs), np.array([self.end], np.int64)]
        learnt = [np.zeros(len(start), np.bool_), *(np.full(len(run), flag) for run, flag in runs), np.array([True])]
        return Encoded(np.concatenate(ids), np.concatenate(learnt))

    def ids(self, text: str) -> Ids:
        """int64[t], without marks."""
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.int64)

    def pair(self, source: str, target: str) -> Encoded | None:
        """A source for an encoder, and its target for a decoder; None where one of them is empty."""
        read, written = self.ids(source), self.ids(target)
        if not len(read) or not len(written):
            return None
        # The end mark of the source opens the target: a decoder has to start from something.
        ids = np.concatenate([[self.end], written, [self.end]]).astype(np.int64)
        learnt = np.ones(len(ids), np.bool_)
        learnt[0] = False
        return Encoded(ids, learnt, np.concatenate([read, [self.end]]).astype(np.int64))

    def _rendered(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Messages in the form that the model reads, each in two pieces where its head is not learnt."""
        split = [(piece.text.partition("\n"), piece.is_learnt) for piece in pieces]
        said = [(role, text, learnt) for (role, _, text), learnt in split]
        if self.chat is not None:
            return self._by_template([{"role": role, "content": text} for role, text, _ in said])
        marked = all(self.tokenizer.token_to_id(mark) is not None for mark in _CHATML)
        found: list[Piece] = []
        for role, text, learnt in said:
            head, tail = (f"{_CHATML[0]}{role}\n", f"{_CHATML[1]}\n") if marked else (f"{role}: ", "\n")
            found += [Piece(head, False), Piece(text + tail, learnt)]
        return found

    def _by_template(self, messages: Sequence[Message]) -> list[Piece]:
        assert self.chat is not None
        found: list[Piece] = []
        so_far = ""
        for place, message in enumerate(messages):
            whole = self.chat(messages[: place + 1])
            if not whole.startswith(so_far):
                raise ConfigError("the model's chat template rewrites what was said before. Give rows as plain text.")
            new, before, so_far = whole[len(so_far) :], so_far, whole
            if message["role"] != "assistant" or not message["content"].strip():
                found.append(Piece(new, False))
                continue
            # Where the message begins is seen by a text that is nowhere else: a short one may be in its own head, too.
            marked = self.chat([*messages[:place], {**message, "content": _MARK}])
            head = marked.partition(_MARK)[0][len(before) :]
            if _MARK not in marked or not new.startswith(head):
                raise ConfigError("the model's chat template rewrites what is said. Give rows as plain text.")
            found += [Piece(head, False), Piece(new[len(head) :])]
        return found


def encoder_of(folder: Path) -> Encoder:
    """The tokenizer in a model's folder, with its marks and chat template.

    Raises:
        InputError: none there, or none that knows an end of text.
    """
    transformers = quiet_transformers()
    try:
        found = transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        line = str(error).strip().splitlines()[0]
        raise InputError(f"{folder}: no tokenizer can be loaded ({line}). Put tokenizer.json beside it.") from error
    backend = getattr(found, "backend_tokenizer", None)
    end = found.sep_token_id if found.eos_token_id is None else found.eos_token_id
    if backend is None or end is None:
        raise InputError(
            f"{folder}: its tokenizer has no tokenizer.json or no end mark. Name another with --tokenizer."
        )
    backend.no_truncation()
    backend.no_padding()
    starts = found.bos_token_id is not None and backend.encode("").ids[:1] == [found.bos_token_id]
    pad = end if found.pad_token_id is None else found.pad_token_id
    chat: Callable[[Sequence[Message]], str] | None = None
    if getattr(found, "chat_template", None):
        from jinja2.exceptions import TemplateError

        def chat(messages: Sequence[Message]) -> str:
            try:
                return str(found.apply_chat_template(list(messages), tokenize=False))
            except TemplateError as error:
                raise ConfigError(
                    f"{folder}: its chat template refuses a row ({error}). Leave such rows out."
                ) from error

    return Encoder(backend, (found.bos_token_id,) if starts else (), int(end), int(pad), chat)


def trained_tokenizer(texts: Iterable[str], size: int) -> Encoder:
    """A byte-pair tokenizer of `size` ids, learnt from texts (Sennrich et al. 2016, over bytes); 258 or less: bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=max(size, len(alphabet) + 2),
        special_tokens=[PAD, END],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    ids = tokenizer.get_vocab()
    return Encoder(tokenizer, (), ids[END], ids[PAD])


def save_tokenizer(encoder: Encoder, folder: Path) -> None:
    """Write a tokenizer that was trained here, so that transformers finds it."""
    encoder.tokenizer.save(str(folder / "tokenizer.json"))
    names = {
        "eos_token": encoder.tokenizer.id_to_token(encoder.end),
        "pad_token": encoder.tokenizer.id_to_token(encoder.pad),
    }
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
