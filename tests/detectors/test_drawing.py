"""The sampled estimator over a function that answers prompts: what is right, what is luck, what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from detectors.drawing import CalledSpeaker, Drawn, Tries, draw_seed, named_function
from detectors.errors import SignalError
from detectors.exemplars import Fact, Pool
from detectors.probing import Question
from detectors.prompting import Exemplars

FACTS = [Fact("r", f"q{n}?", f"a{n % 3}") for n in range(24)]
EXEMPLARS = Exemplars(Pool.of(FACTS), 4, 2, 17)
GROUP = ("r", 0)


class Client:
    """Answers `a1` to all questions that end on an odd number; samples are right as often as it is told."""

    def __init__(self, right: int) -> None:
        self.right = right
        self.seen: list[tuple[int, float, tuple[int, ...]]] = []

    def __call__(
        self,
        prompts: Sequence[str],
        *,
        samples: int,
        temperature: float,
        top_k: int,
        seeds: Sequence[int],
        stop: str,
        most_tokens: int,
    ) -> list[list[str]]:
        self.seen.append((samples, temperature, tuple(seeds)))
        odd = [int(prompt.rsplit("Q: q", 1)[1].split("?")[0]) % 2 == 1 for prompt in prompts]
        said = [" A1\nQ: next" if at < self.right or samples == 1 else "none" for at in range(samples)]
        return [said if right else ["none"] * samples for right in odd]


def drawn(client: Client, others: int = 0) -> Drawn:
    return Drawn(CalledSpeaker(EXEMPLARS, client, 0.5, 40), EXEMPLARS, others)


QUESTIONS = [Question("q1?", ("a1",), "r"), Question("q2?", ("a1",), "r")]


def test_shares_are_those_of_answers_in_any_accepted_spelling() -> None:
    client = Client(4)
    found = drawn(client).measure(GROUP, QUESTIONS)
    assert found.greedy.tolist() == [[True] * 4, [False] * 4]
    assert found.sampled.tolist() == [[0.25] * 4, [0.0] * 4]
    assert found.own == ["A1", "none"] and found.own_greedy.tolist() == [1.0, 1.0]
    assert found.own_sampled.tolist() == [0.25, 1.0]
    assert [(samples, temperature) for samples, temperature, _ in client.seen] == [(1, 0.0), (16, 0.5)] * 4


def test_seeds_belong_to_question_and_prompt() -> None:
    client = Client(1)
    drawn(client).measure(GROUP, QUESTIONS)
    drawn(client).measure(GROUP, QUESTIONS[1:])
    both, alone = client.seen[1][2], client.seen[9][2]
    assert both[1:] == alone == (draw_seed(17, "q2?", 0),)
    assert len({seed for _, _, seeds in client.seen for seed in seeds}) == 8


def test_an_answer_that_other_questions_get_as_often_is_luck() -> None:
    found = drawn(Client(4), others=40).measure(GROUP, QUESTIONS)
    assert found.lucky.tolist() == [True, True] and found.own_lucky.tolist() == [True, True]
    only = Exemplars(Pool.of([Fact("r", f"q{2 * n}?", f"a{n % 3}") for n in range(24)]), 4, 2, 17)
    speaker = CalledSpeaker(only, Client(4), 0.5, 40)
    assert Drawn(speaker, only, 40).measure(GROUP, QUESTIONS).lucky.tolist() == [False, True]


def test_an_answer_that_never_ends_is_no_answer() -> None:
    class Endless:
        def tries(self, group: tuple[str, int], at: int, questions: Sequence[Question]) -> list[Tries]:
            return [Tries(None, (None,) * 16) for _ in questions]

    found = Drawn(Endless(), EXEMPLARS, 0).measure(GROUP, QUESTIONS)
    assert not found.greedy.any() and not found.sampled.any() and found.own == ["", ""]


def test_a_name_that_is_no_function_is_refused() -> None:
    for name in ("nowhere_at_all:f", "json:absent", "json:__name__", "json", ""):
        with pytest.raises(SignalError, match="module:function"):
            named_function(name)
