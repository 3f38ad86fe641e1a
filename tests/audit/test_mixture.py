from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.mixture import Mixing, Reference, Sampling, likeliest_share, misfit, posterior
from detectors.ai_text.spread import BINS
from tests.audit.labelled_sources import APART, HUMAN_ODDS, MACHINE_ODDS, bell, drawn, pool, profiles, usual

HUMAN, MACHINE = bell(HUMAN_ODDS)[None], bell(MACHINE_ODDS)[None]
UNNAMED = (Mixing(), Mixing())
REFERENCE = Reference.of(usual())


def sampling(
    reference: Reference = REFERENCE, mixing: tuple[Mixing, Mixing] = UNNAMED, *, n: int = 5000, draws: int = 400
) -> Sampling:
    return Sampling.draw(reference, mixing, n, seed=17, draws=draws)


def estimate(counts: np.ndarray, reference: Reference = REFERENCE) -> tuple[float, float]:
    means = reference.human.mean[None], reference.machine.mean[None]
    observed = (counts / counts.sum())[None]
    share = likeliest_share(observed, *means)
    return float(share[0]), float(misfit(observed, share, *means)[0])


@given(st.floats(0, 1))
def test_the_share_of_an_exact_mix_is_found(share: float) -> None:
    found = likeliest_share((1 - share) * HUMAN + share * MACHINE, HUMAN, MACHINE)
    assert found[0] == pytest.approx(share, abs=1e-3)


@settings(max_examples=50)
@given(st.integers(0, 10_000))
def test_the_share_is_where_em_stops(seed: int) -> None:
    random = np.random.default_rng(seed)
    observed = random.dirichlet(np.ones(BINS))[None]
    share = 0.5
    for _ in range(3000):
        share = float((observed * posterior(share, HUMAN, MACHINE)).sum())
    assert likeliest_share(observed, HUMAN, MACHINE)[0] == pytest.approx(share, abs=2e-3)


def test_text_beyond_either_kind_is_all_or_none_of_it() -> None:
    ends = np.eye(BINS)[[0, BINS - 1]]
    assert likeliest_share(ends, HUMAN, MACHINE).tolist() == [0.0, 1.0]


def test_an_exact_mix_misfits_less_than_any_other_text() -> None:
    mixed = 0.7 * HUMAN + 0.3 * MACHINE
    share = np.array([0.3])
    assert misfit(mixed, share, HUMAN, MACHINE)[0] < misfit(bell(0.0, 0.3)[None], share, HUMAN, MACHINE)[0] - 5


def test_a_source_counts_once_however_many_documents_it_has() -> None:
    table = profiles(np.array([bell(-3.0), bell(-1.0)]), MACHINE, size=1000)
    table.counts[0] *= 7
    mean = Reference.of(table).human.mean
    assert mean == pytest.approx((bell(-3.0) + bell(-1.0)) / 2, abs=2e-3)


def test_the_wider_sources_lie_apart_the_wider_the_interval() -> None:
    far, near = (Reference.of(usual(apart=apart)) for apart in (1.5 * APART, 0.2 * APART))
    widths = [np.subtract(*sampling(one).interval(0.3)[::-1]) for one in (far, near)]
    assert widths[0] > 2 * widths[1]


def test_generators_within_a_source_widen_the_interval_too() -> None:
    human, machine = pool(30, HUMAN_ODDS, 1), np.repeat(bell(MACHINE_ODDS)[None], 30, axis=0)
    even = profiles(human, machine)
    split = profiles(human, np.array([bell(MACHINE_ODDS + 2 * (i % 2) - 1) for i in range(60)]))
    split = type(split)((*split.sources[:30], *(f"m{i // 2}" for i in range(60))), split.generators, split.counts)
    widths = [np.subtract(*sampling(Reference.of(one)).interval(0.8)[::-1]) for one in (split, even)]
    assert widths[0] > 1.3 * widths[1]


def test_a_corpus_that_fits_the_means_is_taken_for_a_mix_of_many_sources() -> None:
    drawn_once = sampling()
    best, worst = np.quantile(drawn_once.misfits, [0.05, 0.95])
    fits, misfits = (np.subtract(*drawn_once.interval(0.3, found)[::-1]) for found in (best, worst))
    assert fits < 0.6 * misfits


def test_a_corpus_of_one_source_is_wider_than_one_of_many() -> None:
    one, many = (sampling(mixing=(Mixing((n,)), Mixing((n,)))) for n in (1, 32))
    assert np.subtract(*one.interval(0.3)[::-1]) > 3 * np.subtract(*many.interval(0.3)[::-1])


def test_fewer_documents_widen_the_interval() -> None:
    mixing = (Mixing((64,)), Mixing((64,)))
    few, many = (sampling(mixing=mixing, n=n).interval(0.3) for n in (50, 50_000))
    assert few[1] - few[0] > 1.5 * (many[1] - many[0])


@given(st.floats(0, 1), st.floats(-12, 2))
def test_an_interval_holds_its_estimate_and_stays_in_bounds(share: float, found: float) -> None:
    low, high = SAMPLING.interval(share, found)
    assert 0 <= low <= share <= high <= 1


SAMPLING = sampling(draws=1200)


@pytest.mark.parametrize(("share", "sources"), [(0.0, 5), (0.0, 30), (0.1, 10), (0.4, 3), (0.4, 30)])
def test_nine_in_ten_intervals_hold_the_truth_whatever_number_of_sources_was_mixed(share: float, sources: int) -> None:
    held = none = 0
    for trial in range(150):
        human, machine = pool(sources, HUMAN_ODDS, 100 + trial), pool(sources, MACHINE_ODDS, 900 + trial)
        found = estimate(drawn(5000, share, human, machine, trial))
        low, high = SAMPLING.interval(*found)
        held += low <= share <= high
        none += low == 0
    assert held >= 135
    assert none >= 140 or share > 0


def test_the_same_seed_draws_the_same() -> None:
    again = sampling(draws=1200)
    assert (again.estimates == SAMPLING.estimates).all() and (again.misfits == SAMPLING.misfits).all()


def test_text_unlike_any_source_is_odd_and_a_usual_corpus_is_not() -> None:
    strange = np.random.default_rng(0).multinomial(5000, bell(0.2, 0.2))
    usual_corpus = drawn(5000, 0.3, pool(8, HUMAN_ODDS, 5), pool(8, MACHINE_ODDS, 6))
    assert SAMPLING.oddity(estimate(strange)[1]) < 0.01 < SAMPLING.oddity(estimate(usual_corpus)[1])


def test_sources_labelled_under_their_own_name_narrow_the_interval() -> None:
    documents = np.ones((1, 3))
    own = (
        Mixing.by_name(REFERENCE.human, ["h0", "h1", "h2"], documents),
        Mixing.by_name(REFERENCE.machine, ["m0", "m1", "m2"], documents),
    )
    assert own[0].weight == own[1].weight == 1.0
    assert own[0].mean(REFERENCE.human) == pytest.approx(REFERENCE.human.shapes[[0, 1, 9]].mean(axis=0), abs=0.5)
    known, unknown = sampling(mixing=own).interval(0.3), SAMPLING.interval(0.3)
    assert known[1] - known[0] < 0.3 * (unknown[1] - unknown[0])


def test_what_sources_may_hold_widens_what_is_known_of_them() -> None:
    sure = np.array([[1.0, 1.0], [1.0, 1.0]])
    unsure = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    mixings = [
        (Mixing.by_name(REFERENCE.human, ["h0", "h1"], found), Mixing.by_name(REFERENCE.machine, ["m0", "m1"], found))
        for found in (sure, unsure)
    ]
    widths = [np.subtract(*sampling(mixing=mixing, n=100_000).interval(0.3)[::-1]) for mixing in mixings]
    assert widths[1] > widths[0]


def test_names_that_nobody_labelled_leave_a_corpus_unmatched() -> None:
    assert Mixing.by_name(REFERENCE.human, ["x"], np.ones((1, 1))).weight == 0.0
    part = Mixing.by_name(REFERENCE.human, ["x", "h3"], np.array([[3.0, 1.0]]))
    assert part.weight == 0.25
