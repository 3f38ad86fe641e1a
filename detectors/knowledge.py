"""What a model knows of the facts in a corpus: SliCK categories of question-answer rows (Gekhman et al. 2024)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.protocols import Device, Measure

if TYPE_CHECKING:
    from detectors.answering import Asker, Prefix
    from detectors.exemplars import Pool

__all__ = ["Knowledge", "Question", "questions_of"]

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_MOST_SPELLINGS = 8
_MOST_PREFIXES = 512
_OWN_TOKENS = 24
_DECIMALS = 6


def _field(name: str, kind: pa.DataType, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"doc": doc})


@dataclass(frozen=True)
class Question:
    """One row to probe.

    Attributes:
        text: the question.
        answers: accepted answers, the first one first; none where the row has none.
        relation: what kind of fact it is, "" where the corpus does not say.
    """

    text: str
    answers: tuple[str, ...]
    relation: str


@dataclass(frozen=True)
class Knowledge:
    """How well a model knows the fact in a row, by the exact expectation of the paper's estimator.

    Ten prompts of four exemplars each are put before the question, all of the same relation (or of questions that begin
    alike) and from a pool in reserve; the prompt is read once for all questions behind it. Teacher forcing gives the
    probability that a sample at `temperature` from the likeliest `top_k` tokens is the answer, and whether the greedy
    answer is. Aliases, and a capital where one begins without, are summed: one tokenisation of each, so what is
    given is a lower bound. Null where a row has no question or no answer.

    Attributes:
        model: folder, GGUF file or hub id of a causal language model.
        pool: file of exemplars, see `detectors.exemplars`; `foxing probe` makes one.
        question: column of the question; "" takes what stands before the response in the row's text, as in a chat.
        answers: column of the answer, or of a list of accepted ones; not read where `question` is "".
        relation: column of the relation; "" takes questions that begin alike together.
        sets: prompts a question.
        shots: exemplars a prompt.
        temperature: of samples.
        top_k: tokens that a sample is drawn from.
        others: other questions of the relation after which the answer is tried, for the chance-corrected category; 0
            leaves it out.
        precision: of the weights; bfloat16 moves some facts to another category.
        seed: of the exemplars.
        model_digest, pool_digest: of the files. `pinned` fills them in.

    Raises:
        ConfigError: a setting outside its range.
    """

    model: str = field(default="", metadata={"location": True})
    pool: str = field(default="", metadata={"location": True})
    question: str = "question"
    answers: str = "answers"
    relation: str = "relation"
    sets: int = 10
    shots: int = 4
    temperature: float = 0.5
    top_k: int = 40
    others: int = 12
    precision: str = "float32"
    seed: int = 17
    model_digest: str = ""
    pool_digest: str = ""

    name: ClassVar[str] = "knowledge"
    version: ClassVar[int] = 1
    schema: ClassVar[pa.Schema] = pa.schema(
        [
            _field("category", pa.string(), "HighlyKnown, MaybeKnown, WeaklyKnown or Unknown."),
            _field("corrected", pa.string(), "The same, Unknown where other questions make the answer as probable."),
            _field("p_greedy", pa.float32(), "Share of prompts whose greedy answer is right, P(T=0); 0 to 1."),
            _field("p_sampled", pa.float32(), "Expected share of right samples, P(T>0); 0 to 1."),
            _field("p_any", pa.float32(), "Probability of a right answer among 16 samples of each prompt; 0 to 1."),
            _field("log_p", pa.float32(), "Log probability of the likeliest accepted answer after the first prompt."),
            _field("others_log_p", pa.float32(), "The highest one of that answer after other questions; null if none."),
            _field("own_answer", pa.string(), "The model's own greedy answer after the first prompt."),
            _field("own_log_p", pa.float32(), "Log probability of the model's own answer."),
        ]
    )

    def __post_init__(self) -> None:
        least = {"sets": 1, "shots": 1, "top_k": 1, "others": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(f"knowledge: {name} is {getattr(self, name)}. Set it to {value} or more.")
        if not self.temperature > 0:
            raise ConfigError(f"knowledge: temperature is {self.temperature}. Set it above 0, to 0.5 say.")

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

        if not self.model:
            raise SignalError("knowledge: no model is set. Name a folder, GGUF file or hub id with --model.")
        model, pool = digest_of(located(self.model, "knowledge.model")), self._pool().digest
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
        from detectors.answering import Asker
        from detectors.language_model import load_language_model

        model = load_language_model(self.model, device, precision=self.precision, setting="knowledge.model")
        asker = Asker(model, temperature=self.temperature, top_k=self.top_k)
        probe = _Probe(self, asker, self._pool())

        def measure(documents: Documents) -> pa.RecordBatch:
            return probe.measure(questions_of(documents, self.question, self.answers, self.relation))

        return measure

    def _pool(self) -> Pool:
        from detectors.exemplars import Pool

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


def spellings(answers: Sequence[str]) -> tuple[str, ...]:
    """Accepted answers as given, and with a capital where one begins without: as a sentence would begin with it."""
    forms = [form for answer in answers for form in (answer, answer[:1].upper() + answer[1:])]
    return tuple(dict.fromkeys(forms))[:_MOST_SPELLINGS]


class _Probe:
    """A model and a pool, with the prompts that the model has read."""

    def __init__(self, settings: Knowledge, asker: Asker, pool: Pool) -> None:
        self._settings, self._asker, self._pool = settings, asker, pool
        self._tokens = asker.model.tokens
        self._stop = int(self._tokens.ids("\n")[-1])
        self._prefixes: dict[tuple[str, int, int], Prefix] = {}
        self._chance: dict[tuple[str, int, str], Floats] = {}

    def measure(self, questions: Sequence[Question | None]) -> pa.RecordBatch:
        """One finding a question."""
        from detectors.slick import Category, any_hit, categories, chance_corrected

        settings, n = self._settings, len(questions)
        sampled, greedy = np.zeros((n, settings.sets)), np.zeros((n, settings.sets), np.bool_)
        log_p, others = np.full(n, -np.inf), np.full((n, max(1, settings.others)), np.nan)
        own: list[tuple[str, float]] = [("", 0.0)] * n
        best = [""] * n
        groups: dict[tuple[str, int], list[int]] = defaultdict(list)
        for row, question in enumerate(questions):
            if question is not None:
                groups[self._group(question)].append(row)
        for group, rows in groups.items():
            asked = [questions[row] for row in rows]
            known = [question for question in asked if question is not None]
            for at in range(settings.sets):
                found = self._forced(self._prefix(group, at), known)
                for row, (share, right, logs) in zip(rows, found, strict=True):
                    sampled[row, at], greedy[row, at] = min(1.0, share), right
                    if at == 0:
                        best[row] = max(logs, key=lambda form: logs[form])
                        log_p[row] = logs[best[row]]
            for row, answer in zip(rows, self._answers(group, known), strict=True):
                own[row] = answer
            for row in rows if settings.others else ():
                found_others = self._others(group, best[row])
                others[row, : len(found_others)] = found_others
        hit = any_hit(sampled)
        codes = categories(greedy, hit)
        corrected = chance_corrected(codes, log_p, others) if settings.others else codes
        labels = np.array([category.label for category in Category])
        none = np.array([question is None for question in questions], np.bool_)
        highest = np.where(np.isnan(others), -np.inf, others).max(axis=1)
        columns = [
            pa.array(labels[codes], pa.string(), mask=none),
            pa.array(labels[corrected], pa.string(), mask=none),
            _floats(greedy.mean(axis=1), none),
            _floats(sampled.mean(axis=1), none),
            _floats(hit, none),
            _floats(log_p, none),
            _floats(highest, none | np.isinf(highest)),
            pa.array([text for text, _ in own], pa.string(), mask=none),
            _floats(np.array([value for _, value in own]), none),
        ]
        return pa.record_batch(columns, schema=Knowledge.schema)

    def _group(self, question: Question) -> tuple[str, int]:
        """The relation whose exemplars are shown, and the half of them that does not hold the question."""
        from detectors.exemplars import form_of

        settings = self._settings
        relation = self._pool.relation(question.relation or form_of(question.text), settings.shots)
        return relation, self._pool.family(relation, question.text, settings.seed)

    def _prefix(self, group: tuple[str, int], at: int) -> Prefix:
        from detectors.exemplars import prompt

        key = (*group, at)
        if key not in self._prefixes:
            if len(self._prefixes) >= _MOST_PREFIXES:
                self._prefixes.pop(next(iter(self._prefixes)))
            settings = self._settings
            sets = self._pool.sets(*group, sets=settings.sets, shots=settings.shots, seed=settings.seed)
            ids = self._tokens.ids(prompt(sets[at]))
            self._prefixes[key] = self._asker.read(np.concatenate([np.array(self._tokens.prefix, np.int64), ids]))
        return self._prefixes[key]

    def _ask(self, text: str) -> Ids:
        from detectors.exemplars import prompt

        return self._tokens.ids(prompt((), text))

    def _say(self, answer: str) -> Ids:
        return np.append(self._tokens.ids(f" {answer}"), self._stop)

    def _forced(self, prefix: Prefix, questions: Sequence[Question]) -> list[tuple[float, bool, dict[str, float]]]:
        """Of each question: probability of a right sample, whether the greedy answer is right, log p by spelling."""
        forms = [spellings(question.answers) for question in questions]
        asked = [self._ask(question.text) for question, form in zip(questions, forms, strict=True) for _ in form]
        found = self._asker.teach(prefix, asked, [self._say(answer) for form in forms for answer in form])
        result, at = [], 0
        for form in forms:
            span = slice(at, at + len(form))
            logs = dict(zip(form, found.log_p[span].tolist(), strict=True))
            result.append((float(found.sampled[span].sum()), bool(found.greedy[span].any()), logs))
            at += len(form)
        return result

    def _answers(self, group: tuple[str, int], questions: Sequence[Question]) -> list[tuple[str, float]]:
        asked = [self._ask(question.text) for question in questions]
        found = self._asker.answer(self._prefix(group, 0), asked, stop=self._stop, most=_OWN_TOKENS)
        return [(self._tokens.tokenizer.decode(ids.tolist()).strip(), log_p) for ids, log_p in found]

    def _others(self, group: tuple[str, int], answer: str) -> Floats:
        """Log probabilities of an answer after other questions of the relation, known from then on."""
        key = (*group, answer)
        if key not in self._chance:
            settings = self._settings
            facts = self._pool.others(*group, answer, count=settings.others, seed=settings.seed)
            asked = [self._ask(fact.question) for fact in facts]
            found = self._asker.teach(self._prefix(group, 0), asked, [self._say(answer)] * len(asked))
            self._chance[key] = found.log_p
        return self._chance[key]


def _floats(values: Floats, none: npt.NDArray[np.bool_]) -> pa.Array:
    """float32, rounded: what float noise moves is not stored."""
    return pa.array(np.round(values, _DECIMALS).astype(np.float32), mask=none)
