from __future__ import annotations

import numpy as np
import pytest

from audit.mixture import Reference
from audit.source_match import matched
from detectors.ai_text.spread import BIN_ODDS
from tests.audit.labelled_sources import HUMAN_ODDS, MACHINE_ODDS, pool, profiles

HUMAN, MACHINE = pool(20, HUMAN_ODDS, 1), pool(20, MACHINE_ODDS, 2)
REFERENCE = Reference.of(profiles(HUMAN, MACHINE))
H, M = (int(np.argmax(shapes @ BIN_ODDS)) for shapes in (HUMAN, MACHINE))


def text(shape: np.ndarray, n: int) -> np.ndarray:
    return np.random.default_rng(n).multinomial(n, shape)


def test_sources_that_nobody_labelled_are_not_matched() -> None:
    human, machine = matched(REFERENCE, {"x": text(HUMAN[0], 500)}, seed=1)
    assert human.weight == machine.weight == 0


def test_the_text_of_a_labelled_source_is_taken_for_that_of_its_label() -> None:
    human, machine = matched(REFERENCE, {f"h{H}": text(HUMAN[H], 1000), f"m{M}": text(MACHINE[M], 1000)}, seed=1)
    assert human.weight > 0.95 and machine.weight > 0.9
    for found, component, place in ((human, REFERENCE.human, f"h{H}"), (machine, REFERENCE.machine, f"m{M}")):
        assert found.mean(component) == pytest.approx(component.shape(place), abs=0.02)


def test_only_the_share_from_labelled_sources_counts_as_known() -> None:
    human, _ = matched(REFERENCE, {f"h{H}": text(HUMAN[H], 1000), "x": text(HUMAN[3], 3000)}, seed=1)
    assert human.weight == pytest.approx(0.25, abs=0.05)


def test_small_labelled_sources_leave_more_open() -> None:
    few, many = (
        matched(Reference.of(profiles(HUMAN, MACHINE, size)), {f"h{H}": text(HUMAN[H], 1000)}, seed=1)[0]
        for size in (40, 4000)
    )
    assert few.size == pytest.approx(40, rel=0.1) and many.size == pytest.approx(4000, rel=0.1)


def test_the_same_seed_gives_the_same_draws() -> None:
    sources = {f"h{H}": text(HUMAN[H], 300), f"m{M}": text(MACHINE[M], 300)}
    one, other = (matched(REFERENCE, sources, seed=4)[1].possible for _ in range(2))
    assert (one == other).all() and len(one) > 50
