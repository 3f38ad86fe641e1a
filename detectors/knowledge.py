"""What a model knows of the facts in a corpus: SliCK categories of question-answer rows (Gekhman et al. 2024)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.answer_match import likeness, told
from detectors.answers import normalised_answers, normalised_questions
from detectors.documents import Documents
from detectors.drawing import CalledSpeaker, Drawn, ModelSpeaker, named_function
from detectors.errors import ConfigError, SignalError
from detectors.exemplars import Pool
from detectors.probing import Exact, Question, Tokens, Tried
from detectors.prompting import Exemplars, Group, Prompts
from detectors.protocols import Device, Measure
from detectors.rivals import Rivals
from detectors.slick import Category, any_hit, categories, chance_corrected

__all__ = ["ESTIMATORS", "Knowledge", "Question", "questions_of", "unlikeness"]

Floats = npt.NDArray[np.float64]
ESTIMATORS = ("exact", "sampled")
_DECIMALS = 6
_LOG_DECIMALS = 3


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class Knowledge:
    """How well a model knows the fact in a row, by SliCK categories.

    Ten prompts of four exemplars each are put before the question, all of the same relation (or of questions that begin
    alike) and from a pool in reserve; a prompt is read once for all questions behind it. The estimator `exact` takes by
    teacher forcing the probability that a sample at `temperature` from the likeliest `top_k` tokens is the answer, and
    whether the greedy answer is; `sampled` draws one greedy answer and 16 samples a prompt, as the paper does, seeded
    by question. Aliases, and a capital where one begins without, are summed; `exact` knows one tokenisation of each,
    so what it gives is a lower bound. Null where a row has no question or no answer, or where these do not fit into
    the model's context.

    The model's own answer comes beside: the greedy one after the first prompt, whether it gives it after every prompt,
    and how far it is from the row's. That is evidence about the row only as far as the model knows better.

    Attributes:
        model: folder, GGUF file or hub id of a causal language model.
        generate: instead of a model, `module:function` that answers prompts (see `detectors.drawing.Generate`), for
            models that show no probabilities; `sampled` only.
        pool: file of exemplars, see `detectors.exemplars`; `foxing probe` makes one.
        question: column of the question; "" takes what stands before the response in the row's text, as in a chat.
        answers: column of the answer, or of a list of accepted ones; not read where `question` is "".
        relation: column of the relation; "" takes questions that begin alike together.
        estimator: exact or sampled.
        sets: prompts a question.
        shots: exemplars a prompt.
        temperature: of samples.
        top_k: tokens that a sample is drawn from.
        others: other questions of the relation after which an answer is tried, or as many of them as may make it the
            most probable (`detectors.rivals`), for the chance-corrected category: by luck alone it is most probable
            after its own once in `others` + 1 times. 0 leaves it out.
        precision: of the weights; bfloat16 moves some facts to another category.
        seed: of exemplars and samples.
        model_digest, pool_digest: of the files. `pinned` fills them in.

    Raises:
        ConfigError: a setting outside its range.
    """

    model: str = field(default="", metadata={"location": True})
    generate: str = ""
    pool: str = field(default="", metadata={"location": True})
    question: str = "question"
    answers: str = "answers"
    relation: str = "relation"
    estimator: str = "exact"
    sets: int = 10
    shots: int = 4
    temperature: float = 0.5
    top_k: int = 40
    others: int = 40
    precision: str = "float32"
    seed: int = 17
    model_digest: str = ""
    pool_digest: str = ""

    name: ClassVar[str] = "knowledge"
    version: ClassVar[int] = 2
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("category", pa.string(), "HighlyKnown, MaybeKnown, WeaklyKnown or Unknown."),
            _field("corrected", pa.string(), "The same, Unknown where other questions make the answer as probable."),
            _field("p_greedy", pa.float32(), "Share of prompts whose greedy answer is right, P(T=0); 0 to 1."),
            _field("p_sampled", pa.float32(), "Share of right samples, P(T>0), or its expectation; 0 to 1."),
            _field("p_any", pa.float32(), "Probability of a right answer among 16 samples of each prompt; 0 to 1."),
            _field("log_p", pa.float32(), "Log probability of the likeliest accepted answer after the first prompt."),
            _field(
                "others_log_p", pa.float32(), "The highest found of it after other questions; null if Unknown anyhow."
            ),
            _field("own_answer", pa.string(), "The model's own greedy answer after the first prompt."),
            _field("own_log_p", pa.float32(), "Log probability of the model's own answer."),
            _field("own_sampled", pa.float32(), "Share of samples after the first prompt that are it, or expected."),
            _field("own_greedy", pa.float32(), "Share of prompts whose greedy answer is it; null if it did not end."),
            _field("own_category", pa.string(), "HighlyKnown where it always is, Unknown where that is luck."),
            _field("own_differs", pa.float32(), "0: surely an accepted answer; 1: nothing like one; null: no words."),
        ]
    )

    def __post_init__(self) -> None:
        least = {"sets": 1, "shots": 1, "top_k": 1, "others": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(f"knowledge: {name} is {getattr(self, name)}. Set it to {value} or more.")
        if not self.temperature > 0:
            raise ConfigError(f"knowledge: temperature is {self.temperature}. Set it above 0, to 0.5 say.")
        if self.estimator not in ESTIMATORS:
            known = ", ".join(ESTIMATORS)
            raise ConfigError(f"knowledge: estimator is {self.estimator!r}, none of {known}. Set one of them.")
        if self.generate and (self.model or self.estimator != "sampled"):
            raise ConfigError(
                "knowledge: generate goes with estimator = sampled and no model. Set these, or leave it out."
            )

    @property
    def reads(self) -> tuple[str, ...]:
        """The raw columns, or text and response."""
        relation = [f"column:{self.relation}"] if self.relation else []
        if not self.question:
            return ("text", "response", *relation)
        return tuple(dict.fromkeys((f"column:{self.question}", f"column:{self.answers}", *relation)))

    def pinned(self) -> Self:
        """The same settings with the digests of model and pool as they are now. To be done before a scan.

        Raises:
            SignalError: one of them is not named, cannot be read or is not the one that a digest says.
        """
        from detectors.hub import digest_of, located

        if not self.model and not self.generate:
            raise SignalError("knowledge: no model is set. Name a folder, GGUF file or hub id with --model.")
        if self.generate:
            named_function(self.generate)
        model = digest_of(located(self.model, "knowledge.model")) if self.model else ""
        pool = self._pool().digest
        for name, digest in (("model_digest", model), ("pool_digest", pool)):
            if getattr(self, name) not in ("", digest):
                raise SignalError(
                    f"knowledge: {name} is {getattr(self, name)[:12]}, but the file has {digest[:12]}. "
                    "Probe with the one that was meant, or leave the digest out."
                )
        return replace(self, model_digest=model, pool_digest=pool)

    def load(self, device: Device) -> Measure:
        """Load the model and the pool.

        Raises:
            SignalError: a file that cannot be read, or the wrong one. MissingExtraError: torch or transformers.
        """
        probe = self._probe(Exemplars(self._pool(), self.sets, self.shots, self.seed), device)

        def measure(documents: Documents) -> pa.RecordBatch:
            return probe.measure(questions_of(documents, self.question, self.answers, self.relation))

        return measure

    def _probe(self, exemplars: Exemplars, device: Device) -> _Probe:
        from detectors.answering import Asker
        from detectors.language_model import load_language_model

        if self.generate:
            called = CalledSpeaker(exemplars, named_function(self.generate), self.temperature, self.top_k)
            return _Probe(self, exemplars, Drawn(called, exemplars, self.others), None)
        model = load_language_model(self.model, device, precision=self.precision, setting="knowledge.model")
        prompts = Prompts(exemplars, Asker(model, temperature=self.temperature, top_k=self.top_k))
        if self.estimator == "sampled":
            return _Probe(self, exemplars, Drawn(ModelSpeaker(prompts), exemplars, self.others), prompts)
        rivals = Rivals(prompts, self.others) if self.others else None
        return _Probe(self, exemplars, Exact(prompts, rivals), prompts)

    def _pool(self) -> Pool:
        if not self.pool or not Path(self.pool).is_file():
            named = f"no file {self.pool}" if self.pool else "no pool is set"
            raise SignalError(f"knowledge: {named}. Make one with foxing probe, or name one with --pool.")
        return Pool.from_bytes(Path(self.pool).read_bytes(), self.pool)


def questions_of(documents: Documents, question: str, answers: str, relation: str) -> list[Question | None]:
    """The rows of a batch as questions; None where question or answer is missing or empty."""
    batch = documents.batch
    kinds = _strings(batch.column(f"column:{relation}")) if relation else [[""]] * len(documents)
    if question:
        asked, right = (_strings(batch.column(f"column:{name}")) for name in (question, answers))
    else:
        right = _strings(batch.column("response"))
        asked = [_before(texts, said) for texts, said in zip(_strings(batch.column("text")), right, strict=True)]
    found: list[Question | None] = []
    for texts, accepted, kind in zip(asked, right, kinds, strict=True):
        text = texts[0].strip() if texts else ""
        kept = tuple(dict.fromkeys(answer.strip() for answer in accepted if answer.strip()))
        found.append(Question(text, kept, kind[0] if kind else "") if text and kept else None)
    return found


def _before(texts: list[str], said: list[str]) -> list[str]:
    """What stands before the response that ends a text; nothing where it ends otherwise, as after several turns."""
    if not texts or not said or not texts[0].endswith(said[0]):
        return []
    return [texts[0].removesuffix(said[0])]


def _strings(column: pa.Array) -> list[list[str]]:
    """Every row as a list of texts: a text, a list of them, or none."""
    rows: list[list[str]] = []
    for value in column.to_pylist():
        values = value if isinstance(value, list) else [value]
        rows.append(
            [
                item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
                for item in values
                if item is not None
            ]
        )
    return rows


@dataclass(frozen=True, eq=False)
class _Probe:
    """A model and a pool.

    Attributes:
        settings: of the signal.
        exemplars: of the pool.
        estimator: that tries questions.
        prompts: of the model; None where only answers are seen.
    """

    settings: Knowledge
    exemplars: Exemplars
    estimator: Exact | Drawn
    prompts: Prompts | None

    def measure(self, questions: Sequence[Question | None]) -> pa.RecordBatch:
        """One finding a question."""
        tried = Tried.nothing(len(questions), self.settings.sets)
        measured = np.zeros(len(questions), np.bool_)
        groups: dict[Group, list[tuple[int, Question]]] = defaultdict(list)
        for row, question in enumerate(questions):
            if question is not None:
                groups[self.exemplars.group(question.text, question.relation)].append((row, question))
        for group, members in groups.items():
            fitting = self._fitting(group, members)
            rows = [row for row, _ in fitting]
            measured[rows] = True
            if rows:
                tried.put(rows, self.estimator.measure(group, [question for _, question in fitting]))
        return self._batch(tried, questions, ~measured)

    def _fitting(self, group: Group, members: list[tuple[int, Question]]) -> list[tuple[int, Question]]:
        """Those that fit into the model's context with the longest prompt before them."""
        if self.prompts is None:
            return members
        room = self.prompts.asker.model.context - self.prompts.longest(group)
        sizes = Tokens.of(self.prompts, [question for _, question in members]).sizes()
        return [member for member, size in zip(members, sizes, strict=True) if size <= room]

    def _batch(self, tried: Tried, questions: Sequence[Question | None], none: npt.NDArray[np.bool_]) -> pa.RecordBatch:
        labels = np.array([category.label for category in Category])
        expected = any_hit(tried.sampled)
        if self.settings.estimator == "sampled":
            expected = (tried.sampled > 0).max(axis=1).astype(np.float64)
        codes = categories(tried.greedy, expected)
        corrected = chance_corrected(codes, tried.lucky)
        always = tried.own_greedy >= 1
        own = np.where(always, Category.HIGHLY_KNOWN.value, Category.MAYBE_KNOWN.value)
        own = np.where(always & tried.own_lucky, Category.UNKNOWN.value, own)
        heard = np.isnan(tried.own_greedy)
        differs = unlikeness(tried.own, questions)
        columns = [
            pa.array(labels[codes], pa.string(), mask=none),
            pa.array(labels[corrected], pa.string(), mask=none),
            _floats(tried.greedy.mean(axis=1), none),
            _floats(tried.sampled.mean(axis=1), none),
            _floats(expected, none),
            _floats(tried.log_p, none, _LOG_DECIMALS),
            _floats(tried.others_log_p, none, _LOG_DECIMALS),
            pa.array(tried.own, pa.string(), mask=none | (np.array(tried.own) == "") & heard),
            _floats(tried.own_log_p, none, _LOG_DECIMALS),
            _floats(tried.own_sampled, none),
            _floats(tried.own_greedy, none),
            pa.array(labels[own], pa.string(), mask=none | heard),
            _floats(differs, none | heard),
        ]
        return pa.record_batch(columns, schema=Knowledge.schema)


def unlikeness(own: Sequence[str], questions: Sequence[Question | None]) -> Floats:
    """float64[n], how little an answer has of every accepted one, by `detectors.answer_match`: 0 is surely the same.

    NaN for an answer without a word: who says nothing contradicts nobody.
    """
    texts = [question.text if question is not None else "" for question in questions]
    given = [frozenset(text.split()) for text in normalised_questions(pa.array(texts, pa.large_string())).to_pylist()]
    spelled = normalised_answers(pa.array(list(own), pa.large_string())).to_pylist()
    found = np.ones(len(texts))
    for row, question in enumerate(questions):
        if question is not None:
            right = normalised_answers(pa.array(question.answers, pa.large_string())).to_pylist()
            mine = told(spelled[row], given[row])
            found[row] = 1 - max(likeness(mine, told(text, given[row])) for text in right)
            if found[row] > 0 and not any(map(str.isalnum, own[row])):
                found[row] = np.nan
    return found


def _floats(values: Floats, none: npt.NDArray[np.bool_], decimals: int = _DECIMALS) -> pa.Array:
    """float32, rounded: what float noise moves is not stored. Null where a number is not finite."""
    kept = np.isfinite(values) & ~none
    return pa.array(np.round(np.where(kept, values, 0.0), decimals).astype(np.float32), mask=~kept)
