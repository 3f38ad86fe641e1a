"""The highest probability of an answer after other questions, against all of them tried one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detectors.answering import Asker, Said, Until
from detectors.drawing import ModelSpeaker
from detectors.exemplars import Fact, Pool
from detectors.language_model import load_language_model
from detectors.probing import Question
from detectors.prompting import Exemplars, Prompts
from detectors.protocols import Device
from detectors.rivals import Rivals
from tests.detectors.test_knowledge import write_letter_model
from tests.detectors.tiny_models import need_torch

FACTS = [Fact("r", f"q{chr(97 + n)}{chr(99 + n % 5)}?", f"{chr(100 + n % 7)}x") for n in range(24)]
GROUP = ("r", 0)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Prompts:
    need_torch()
    folder: Path = tmp_path_factory.mktemp("model")
    write_letter_model(folder)
    model = load_language_model(str(folder), Device.CPU, precision="float32")
    return Prompts(Exemplars(Pool.of(FACTS), 2, 2, 17), Asker(model))


@pytest.mark.parametrize("count", [3, 40])
def test_the_highest_is_that_of_all_other_questions_with_another_answer(prompts: Prompts, count: int) -> None:
    answers = ["dx", "ex", "never seen", "dx"]
    found = Rivals(prompts, count).highest(GROUP, answers)
    for answer, value in zip(answers, found.tolist(), strict=True):
        facts = prompts.exemplars.others(GROUP, answer, count)
        assert facts and all(fact.answer != answer for fact in facts)
        asked = [prompts.ask(fact.question) for fact in facts]
        branches = prompts.asker.follow(prompts.prefix(GROUP, 0), 40)
        said, until = [prompts.say(answer)] * len(asked), [Until.END] * len(asked)
        taught = prompts.asker.teach(branches, asked, said, until=until)
        assert value == pytest.approx(taught.log_p.max(), rel=1e-4)


def test_of_a_large_pool_no_more_questions_are_read_than_may_count(prompts: Prompts) -> None:
    facts = [Fact("r", f"q{n}?", "" if n == 7 else f"{chr(100 + n % 7)}x") for n in range(400)]
    large = Prompts(Exemplars(Pool.of(facts), 2, 2, 17), prompts.asker)
    answers = ["dx", "ex", "never seen"]
    rivals = Rivals(large, 10)
    found = rivals.highest(GROUP, answers)
    read, asked, _ = rivals._trees[GROUP]
    assert len(read) == len(asked) < 30
    for answer, value in zip(answers, found.tolist(), strict=True):
        counted = [fact for fact in large.exemplars.others(GROUP, answer, 11) if fact.answer][:10]
        said = [large.say(answer)] * 10
        branches = large.asker.follow(large.prefix(GROUP, 0), 40)
        taught = large.asker.teach(
            branches, [large.ask(fact.question) for fact in counted], said, until=[Until.END] * 10
        )
        assert value == pytest.approx(taught.log_p.max(), rel=1e-4)


def test_an_answer_ends_in_time_or_not_whatever_company_it_is_asked_in(
    prompts: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(self: Asker, branches: object, questions: list[object], *, stop: int, most: int) -> list[Said]:
        return [Said(np.full(min(most, 30), 5), -1.0, 0.5, most > 30) for _ in questions]

    monkeypatch.setattr(Asker, "answer", answer)
    short, long = Question("q1?", ("ta",), "r"), Question("q2?", ("t" * 40,), "r")
    alone = ModelSpeaker(prompts).tries(GROUP, 0, [short])
    both = ModelSpeaker(prompts).tries(GROUP, 0, [short, long])
    assert vars(alone[0]) == vars(both[0]) and both[0].greedy is None and both[1].greedy


def test_an_answer_is_tried_once(prompts: Prompts, monkeypatch: pytest.MonkeyPatch) -> None:
    rivals = Rivals(prompts, 40)
    first = rivals.highest(GROUP, ["dx", "ex"])
    monkeypatch.setattr(Rivals, "_search", lambda *_: pytest.fail("tried again"))
    np.testing.assert_array_equal(rivals.highest(GROUP, ["ex", "dx"]), first[::-1])


def test_where_every_other_question_has_the_same_answer_there_is_none(prompts: Prompts) -> None:
    same = Pool.of([Fact("r", f"q{chr(97 + n)}?", "dx") for n in range(12)])
    alone = Prompts(Exemplars(same, 2, 2, 17), prompts.asker)
    assert Rivals(alone, 40).highest(GROUP, ["dx"])[0] == -np.inf
