"""Makes a pool of exemplars of a corpus of questions: so many facts of each relation, chosen by hash, in one pass."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from audit.corpus import Corpus
from audit.layout import Kind, Layout, find_layout
from detectors.documents import Documents
from detectors.errors import InputError
from detectors.exemplars import Fact, Pool, form_of, question_hash
from detectors.knowledge import questions_of

if TYPE_CHECKING:
    from audit.corpus import Shard

__all__ = ["columns_of_questions", "make_pool"]

_MOST_CHARACTERS = 300
_RELATION = "relation"


def columns_of_questions(corpus: Corpus) -> tuple[str, str, str]:
    """(question, answers, relation) as `detectors.knowledge.Knowledge` takes them, by the first shard's columns.

    Raises:
        InputError: rows that are neither question and answer nor a chat.
    """
    shard = corpus.shards[0]
    names = shard.reader.names()
    layout = find_layout(names, shard.uri)
    relation = _RELATION if _RELATION in names else ""
    if layout.kind is Kind.CHAT:
        return "", "", relation
    if layout.kind is Kind.ANSWER:
        return layout.columns[0], layout.columns[-1], relation
    raise InputError(
        f"{shard.uri}: is read as {layout}, which has no questions. Name the columns with --question and --answers."
    )


def make_pool(
    corpus: Corpus, columns: tuple[str, str, str], *, facts: int, advance: Callable[[int], None] = lambda rows: None
) -> Pool:
    """Take `facts` facts of each relation, those whose questions hash lowest, whatever the order of the rows.

    Long questions and answers (over 300 characters) are left out: four of them would fill a prompt.

    Args:
        corpus: to take them from.
        columns: question, answers and relation, see `columns_of_questions`.
        facts: of each relation, or of questions that begin alike.
        advance: called with rows read.

    Raises:
        InputError: no row has a question and an answer.
    """
    kept: dict[str, list[tuple[int, str, Fact]]] = {}
    for shard in corpus.shards:
        for documents in _documents(shard, columns):
            for question in questions_of(documents, *columns):
                if question is None:
                    continue
                answer = min(question.answers, key=len)
                if max(len(question.text), len(answer)) > _MOST_CHARACTERS:
                    continue
                relation = question.relation or form_of(question.text)
                hashed = question_hash(question.text)
                entry = (-int(hashed, 16), hashed, Fact(relation, question.text, question.answers[0]))
                heap = kept.setdefault(relation, [])
                if any(hashed == other for _, other, _ in heap):
                    continue
                heapq.heappush(heap, entry)
                if len(heap) > facts:
                    heapq.heappop(heap)
            advance(len(documents))
    if not kept:
        raise InputError(f"{corpus.shards[0].uri}: no row has a question and a short answer. Check the columns.")
    return Pool.of(fact for heap in kept.values() for _, _, fact in heap)


def _documents(shard: Shard, columns: tuple[str, str, str]) -> Iterator[Documents]:
    names = shard.reader.names()
    question, answers, relation = columns
    layout = find_layout(names, shard.uri) if not question else _named(names, question, shard.uri)
    wanted: Sequence[str] = sorted({*layout.columns, *(name for name in (question, answers, relation) if name)})
    for batch in shard.batches(wanted):
        yield Documents(layout.documents(batch, shard.uri))


def _named(names: Sequence[str], question: str, uri: str) -> Layout:
    return find_layout(names, uri, text=question)
