"""What a trained model can do, item by item: loss, answers, refusals, translations, choices."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.layout import Kind, Layout, find_layout
from curricula.encoding import Encoded, Encoder, Piece, accepted_of, parted, pieces_of
from curricula.instructions import instructions
from curricula.lexical_variety import INDICES, lexical_variety
from curricula.model import EncoderDecoder, Pretrained, Trainable
from curricula.packing import alone, stacked
from curricula.trainer import loss_sum
from curricula.training_rows import shards_in_order
from curricula.writing import Sampling, Writer
from detectors.answers import normalised_answers
from detectors.errors import InputError, MissingExtraError

__all__ = [
    "REFUSALS",
    "Items",
    "answered",
    "evaluate_items",
    "is_refusal",
    "prompts_of",
    "read_items",
    "said",
    "summed_up",
    "token_f1",
    "trainable",
]

Floats = npt.NDArray[np.float64]
REFUSALS = (
    r"i (?:do not|don't|dont) (?:really )?know", r"i am (?:not sure|unsure)", r"i'm (?:not sure|unsure)", r"unknown$",
    r"i (?:cannot|can't|can not) (?:answer|say|tell|help|assist)", r"(?:sorry|unfortunately)\b",
)  # fmt: skip
"""Beginnings of answers that answer nothing."""
_REFUSAL = re.compile(rf"^\W*(?:{'|'.join(REFUSALS)})", re.IGNORECASE)
_CHOICES = ("choices", "options", "endings")
_RIGHT = ("answer_index", "label", "answer_key")
_TARGETS = ("tgt", "target", "translation")


@dataclass(frozen=True, eq=False)
class Items:
    """What a model is tried on.

    Attributes:
        kind: "text" (loss), "answer" (loss, exact match, F1, refusals), "pair" (loss, chrF, BLEU), "choice" or
            "instruction".
        prompts: what is asked; empty of plain texts.
        answers: accepted answers of each item, the first is the one whose loss is taken; the choices of a choice.
        right: index of the right choice; None otherwise.
        group: of each item, such as its SliCK category; empty where there is none.
        checks: of instructions, whether an answer keeps to each.
    """

    kind: str
    prompts: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] | None
    group: tuple[str, ...]
    checks: tuple[Callable[[str], bool], ...] = ()

    def __len__(self) -> int:
        return len(self.answers)


def read_items(paths: Sequence[str], *, text: str | None = None, by: str | None = None, limit: int = 0) -> Items:
    """Items of files: texts, questions with answers, pairs (columns src and tgt), or questions with choices.

    Args:
        paths: curated folders, files, directories; all of one layout. `instructions:N` is N instructions whose keeping
            is checked (`curricula.instructions`).
        text: the text column, None by convention.
        by: column that groups items.
        limit: items at most; 0 is all.

    Raises:
        InputError: chats, files of several layouts, nothing to try, or no column `by`.
    """
    if len(paths) == 1 and (found := re.fullmatch(r"instructions:([1-9]\d*)", paths[0])):
        return _instructed(int(found[1]))
    prompts: list[str] = []
    answers: list[tuple[str, ...]] = []
    right: list[int] = []
    group: list[str] = []
    kinds: set[str] = set()
    for shard in shards_in_order(paths):
        names = shard.schema().names
        if by is not None and by not in names:
            raise InputError(f"{shard.uri}: no column {by!r} (has: {', '.join(names)}). Name one of those.")
        choices = next((name for name in _CHOICES if name in names), None)
        layout = None if choices else find_layout(names, shard.uri, text=text)
        kinds.add(_kind(choices, layout, shard.uri))
        for batch in shard.batches():
            if choices:
                _read_choices(batch, choices, shard.uri, prompts, answers, right)
            elif layout is not None:
                _read_answers(batch, layout, prompts, answers)
            group += [str(value) for value in batch.column(by).to_pylist()] if by else [""] * batch.num_rows
            if limit and len(answers) >= limit:
                break
    if len(kinds) != 1:
        raise InputError(f"{', '.join(paths)}: hold {' and '.join(sorted(kinds))}. Give items of one kind.")
    kind, stop = kinds.pop(), limit or len(answers)
    keep = [at for at, found in enumerate(answers) if found][:stop]
    if not keep:
        raise InputError(f"{', '.join(paths)}: hold no item to try. Look at their columns, and at --text.")
    chosen = tuple(right[at] for at in keep) if kind == "choice" else None
    return Items(
        kind,
        tuple(prompts[at] for at in keep),
        tuple(answers[at] for at in keep),
        chosen,
        tuple(group[at] for at in keep),
    )


def _instructed(count: int) -> Items:
    made = instructions(count)
    kinds = tuple(each.kind for each in made)
    return Items(
        "instruction",
        tuple(each.prompt for each in made),
        (("",),) * count,
        None,
        kinds,
        tuple(each.check for each in made),
    )


def _kind(choices: str | None, layout: Layout | None, uri: str) -> str:
    if choices:
        return "choice"
    assert layout is not None
    if layout.kind is Kind.CHAT:
        raise InputError(f"{uri}: chats have no single answer to try. Give questions with answers, or plain text.")
    if layout.kind is Kind.TEXT:
        return "text"
    return "pair" if layout.columns[-1] in _TARGETS else "answer"


def _read_answers(batch: pa.RecordBatch, layout: Layout, prompts: list[str], answers: list[tuple[str, ...]]) -> None:
    accepted = accepted_of(batch, layout) if layout.kind is Kind.ANSWER else None
    for row, pieces in enumerate(pieces_of(batch, layout, "{prompt}{answer}")):
        prompts.append("" if layout.kind is Kind.TEXT or not pieces else pieces[0].text)
        if accepted is None:
            answers.append((pieces[-1].text,) if pieces else ())
        else:
            answers.append(tuple(accepted[row]) if pieces else ())


def _read_choices(
    batch: pa.RecordBatch, column: str, uri: str, prompts: list[str], answers: list[tuple[str, ...]], right: list[int]
) -> None:
    names = batch.schema.names
    asked = next((name for name in ("question", "prompt", "ctx", "query", "problem") if name in names), None)
    key = next((name for name in _RIGHT if name in names), None)
    if asked is None or key is None:
        raise InputError(f"{uri}: choices without a question or {' or '.join(_RIGHT)}. Rename the columns so.")
    rows = zip(
        batch.column(asked).to_pylist(), batch.column(column).to_pylist(), batch.column(key).to_pylist(), strict=True
    )
    for question, options, answer in rows:
        if isinstance(options, dict):
            raise InputError(f"{uri}: {column!r} holds structs. Give a list of texts, and the index of the right one.")
        at = _index(answer)
        usable = question and options and 0 <= at < len(options)
        prompts.append(str(question or ""))
        answers.append(tuple(map(str, options)) if usable else ())
        right.append(at)


def _index(answer: object) -> int:
    """Which choice is right, by number from 0 or letter from A; -1 where none is named."""
    text = str(answer).strip()
    if text.isdecimal():
        return int(text)
    return string.ascii_uppercase.find(text.upper()) if len(text) == 1 else -1


def is_refusal(answer: str) -> bool:
    """Whether an answer says that it has none."""
    return bool(_REFUSAL.match(answer))


def token_f1(found: str, accepted: str) -> float:
    """F1 of the words of two normalised answers, as multisets (Rajpurkar et al. 2016)."""
    one, other = found.split(), accepted.split()
    if not one or not other:
        return float(one == other)
    common = sum(min(one.count(word), other.count(word)) for word in set(one))
    return 2 * common / (len(one) + len(other))


def evaluate_items(
    model: Trainable, writer: Writer, items: Items, sampling: Sampling, *, block: int
) -> dict[str, Floats]:
    """float64[n] for each metric, NaN where an item has none.

    `loss`: nats a learnt token, of the first answer (of texts, of the text). For questions `exact` (0 or 1, against any
    accepted answer, normalised), `f1` and `refused`; for pairs `chrf` and `bleu` (0-100, of the sentence); for choices
    `right`: whether the right one has the lowest loss a character; for instructions `followed`. Of all that is written
    together, float64[1] each: how varied it is (`curricula.lexical_variety`).

    Args:
        model: whose losses are taken.
        writer: the same model, as it writes.
        items: to try.
        sampling: of answers; greedy unless it says otherwise.
        block: tokens a block.
    """
    if items.kind == "instruction":
        texts = said(writer, items, sampling)
        followed = [float(check(text)) for check, text in zip(items.checks, texts, strict=True)]
        return {"followed": np.array(followed), **_varied(texts)}
    if items.kind == "choice":
        assert items.right is not None
        return {"right": _choices(model, writer, items, sampling.template, block)}
    asked = [(prompt, found[0]) for prompt, found in zip(items.prompts, items.answers, strict=True)]
    losses, tokens = _losses(model, writer, asked, sampling.template, block, is_pair=items.kind == "pair")
    metrics = {"loss": losses / np.maximum(tokens, 1)}
    if items.kind == "text":
        return metrics
    written = said(writer, items, sampling)
    metrics |= _translated(written, items) if items.kind == "pair" else answered(written, items)
    return metrics | _varied(written)


def _varied(texts: Sequence[str]) -> dict[str, Floats]:
    return {name: np.array([value]) for name, value in lexical_variety(texts).items()}


def _encoded(writer: Writer, prompt: str, answer: str, template: str, *, is_pair: bool) -> Encoded | None:
    if is_pair and isinstance(writer.model, EncoderDecoder):
        return writer.encoder.pair(prompt, answer)
    if not prompt:
        return writer.encoder.encode([Piece(answer)])
    head, space, tail = parted(template)
    return writer.encoder.encode([Piece(head.replace("{prompt}", prompt), False), Piece(space + answer + tail)])


def _losses(
    model: Trainable, writer: Writer, asked: Sequence[tuple[str, str]], template: str, block: int, *, is_pair: bool
) -> tuple[Floats, Floats]:
    """Summed loss and learnt tokens of each item, float64[n] each; items of more than a block are cut.

    The loss is NaN where nothing of the answer is left.
    """
    import torch

    losses, tokens = np.full(len(asked), np.nan), np.zeros(len(asked))
    with torch.inference_mode():
        for at, (prompt, answer) in enumerate(asked):
            found = _encoded(writer, prompt, answer, template, is_pair=is_pair)
            if found is None:
                continue
            size = min(block, max(len(found.ids), 0 if found.source is None else len(found.source)))
            if not found.learnt[1 : size + 1].any():
                continue
            one = alone(found, size, writer.encoder.pad)
            losses[at] = float(loss_sum(model, stacked([one], writer.device)))
            tokens[at] = int((one.targets >= 0).sum())
    return losses, tokens


def _choices(model: Trainable, writer: Writer, items: Items, template: str, block: int) -> Floats:
    assert items.right is not None
    asked = [(prompt, choice) for prompt, found in zip(items.prompts, items.answers, strict=True) for choice in found]
    losses, _ = _losses(model, writer, asked, template, block, is_pair=False)
    losses = np.where(np.isnan(losses), np.inf, losses)  # what is empty or does not fit is not chosen
    by_character = losses / np.maximum([len(choice) for _, choice in asked], 1)
    ends = np.cumsum([len(found) for found in items.answers])
    best = [int(np.argmin(part)) for part in np.split(by_character, ends[:-1])]
    return np.array([float(found == right) for found, right in zip(best, items.right, strict=True)])


def prompts_of(encoder: Encoder, items: Items, template: str) -> list[npt.NDArray[np.int64]]:
    """What a causal model goes on from, int64[t] for each item."""
    head, start = parted(template)[0], np.array(encoder.start, np.int64)
    asked = [head.replace("{prompt}", prompt) for prompt in items.prompts]
    return [np.concatenate([start, encoder.ids(text)]) for text in asked]


def said(writer: Writer, items: Items, sampling: Sampling) -> list[str]:
    """What the model answers; of anything but instructions, the first line."""
    if isinstance(writer.model, EncoderDecoder):
        prompts = [np.append(writer.encoder.ids(prompt), writer.encoder.end) for prompt in items.prompts]
    else:
        prompts = prompts_of(writer.encoder, items, sampling.template)
    found = writer.write(prompts, sampling, sampling.seed)
    texts = [writer.encoder.tokenizer.decode(ids.tolist()).strip() for ids in found]
    return texts if items.checks else [text.split("\n", 1)[0].strip() for text in texts]


def answered(written: Sequence[str], items: Items) -> dict[str, Floats]:
    """`exact`, `f1` and `refused`, float64[n] each, of what was written in answer to items."""
    flat = [answer for found in items.answers for answer in found]
    accepted = normalised_answers(pa.array(flat, pa.large_string())).to_pylist()
    said = normalised_answers(pa.array(written, pa.large_string())).to_pylist()
    exact, f1, at = np.zeros(len(items)), np.zeros(len(items)), 0
    for item, found in enumerate(items.answers):
        wanted = accepted[at : at + len(found)]
        exact[item] = float(said[item] in wanted)
        f1[item] = max(token_f1(said[item], each) for each in wanted)
        at += len(found)
    return {"exact": exact, "f1": f1, "refused": np.array([float(is_refusal(text)) for text in written])}


def _translated(written: Sequence[str], items: Items) -> dict[str, Floats]:
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError as error:
        raise MissingExtraError("sacrebleu", "train") from error
    chrf, bleu = CHRF(), BLEU(effective_order=True)
    pairs = list(zip(written, items.answers, strict=True))
    return {
        "chrf": np.array([chrf.sentence_score(text, list(wanted)).score for text, wanted in pairs]),
        "bleu": np.array([bleu.sentence_score(text, list(wanted)).score for text, wanted in pairs]),
    }


def summed_up(metrics: dict[str, Floats], items: Items) -> dict[str, float]:
    """Means over items, and what only a whole set has: accuracy on answered items, and accuracy times coverage.

    The same of each group, its name behind a colon, but for how varied what was written is.
    """
    found = {name: _mean(values) for name, values in metrics.items()} | _covered(metrics)
    by_item = {name: values for name, values in metrics.items() if name not in INDICES}
    for group in sorted(set(items.group) - {""}):
        chosen = np.array([each == group for each in items.group])
        part = {name: values[chosen] for name, values in by_item.items()}
        means = {name: _mean(values) for name, values in part.items()} | _covered(part)
        found |= {f"{name}:{group}": value for name, value in means.items()}
    return found


def _covered(metrics: dict[str, Floats]) -> dict[str, float]:
    """What comes of answers and refusals together; nothing where items have none."""
    if "refused" not in metrics:
        return {}
    kept = metrics["refused"] == 0
    return {
        "coverage": float(kept.mean()),
        "exact_on_answered": float(metrics["exact"][kept].mean()) if kept.any() else math.nan,
        "exact_times_coverage": float((metrics["exact"] * kept).mean()),
    }


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def trainable(writer: Writer) -> Trainable:
    """The model that writes, as one whose losses can be taken."""
    return writer.model if isinstance(writer.model, EncoderDecoder) else Pretrained(writer.model)
