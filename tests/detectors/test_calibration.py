"""The reference: what it adjusts, what it promises in domains left out, what it says of text unlike its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.ai_text.adjustment import STYLE
from detectors.ai_text.calibration import Labelled, Reference, build_reference, load_reference
from detectors.ai_text.left_out import choose_deviations, judged, left_out_by, left_out_table, left_out_test
from detectors.ai_text.model import write_files
from detectors.ai_text.reference_fit import Fitter
from detectors.ai_text.reliability import length_names, reliability
from detectors.ai_text.style import style
from detectors.ai_text.tail import rates_above, tail_of
from detectors.binomial import upper_bound
from detectors.documents import Documents

Floats = npt.NDArray[np.float64]


def world(seed: int = 1, *, sources: int = 40, n: int = 60, spread: float = 1.0, odd: float = 0.0) -> Labelled:
    """Sources of people and models. The first style number says as much of the author as the margin, and German
    margins lie 2 higher. Sources are of ten domains; `odd` is added to the human margins of one."""
    random = np.random.default_rng(seed)
    source = np.repeat(np.arange(sources), 2 * n)
    label = np.tile(np.repeat([0, 1], n), sources)
    hidden = random.normal(0.0, 1.0, len(label))
    german = source % 4 == 3
    margin = random.normal(0.0, spread, sources)[source] + hidden + 2.5 * label + 2.0 * german
    margin += odd * ((source % 10 == 2) & (label == 0))
    columns = random.normal(0.0, 1.0, (len(label), len(STYLE)))
    columns[:, 0] += hidden
    names = np.array([f"s{i:02d}" for i in range(sources)])
    return Labelled(
        margin=margin,
        label=label.astype(np.int64),
        source=names[source],
        family=names[source],
        domain=np.array([f"d{i}" for i in range(10)])[source % 10],
        generator=np.where(label == 1, "model", "human"),
        language=np.where(german, "de", "en"),
        length=np.full(len(label), 900),
        style=columns,
    )


@pytest.fixture(scope="module")
def data() -> Labelled:
    return world()


@pytest.fixture(scope="module")
def reference(data: Labelled) -> Reference:
    return build_reference(data)


def test_style_of_a_document_by_hand() -> None:
    text = "One two three. One (two). Stop"
    (found,) = style(Documents.from_texts([text]), np.array([len(text)]))
    assert dict(zip(STYLE, found.tolist(), strict=True)) == pytest.approx(
        {
            "sentence_words": np.log(2.0),
            "sentence_spread": np.std([3, 2, 1]) / 2,
            "near_repeats": 2 / 6,
            "parentheses": np.sqrt(1 / len(text)),
            "full_stops": np.sqrt(2 / len(text)),
        },
        abs=1e-6,
    )


def test_words_repeat_near_up_to_ten_words_apart() -> None:
    near, far = (" ".join(["w", *(f"x{i}" for i in range(gap)), "w"]) for gap in (9, 10))
    found = style(Documents.from_texts([near, far]), np.array([len(near), len(far)]))[:, STYLE.index("near_repeats")]
    assert found.tolist() == pytest.approx([1 / 11, 0.0])


@given(st.lists(st.one_of(st.none(), st.binary(max_size=60)), max_size=5))
def test_style_is_finite_and_no_document_changes_another(texts: list[bytes | None]) -> None:
    whole = style(Documents.from_texts([*texts]), np.full(len(texts), 10))
    assert whole.shape == (len(texts), len(STYLE)) and np.isfinite(whole).all()
    for text, row in zip(texts, whole, strict=True):
        assert style(Documents.from_texts([text]), np.array([10]))[0].tolist() == row.tolist()


def test_style_that_hides_the_author_is_taken_off_the_margin(data: Labelled, reference: Reference) -> None:
    adjusted = reference.adjustment(data.margin, data.language, data.style)
    gap, noise = [], []
    for values in (data.margin, adjusted):
        own = data.source == "s00"
        gap.append(values[own & (data.label == 1)].mean() - values[own & (data.label == 0)].mean())
        noise.append(values[own & (data.label == 0)].std())
    assert gap[1] / noise[1] > 1.2 * gap[0] / noise[0]


def test_languages_are_put_on_one_scale_and_unknown_ones_take_the_largest(reference: Reference) -> None:
    offsets = dict(zip((*reference.languages, "other"), reference.adjustment.offsets.tolist(), strict=True))
    assert 1.5 < offsets["de"] - offsets["en"] < 2.5
    assert offsets["other"] == max(offsets.values())
    p = reference.p_human(np.full(3, 3.0), ["en", "de", "xx"], np.full(3, 900))
    assert p[0] < p[1] == p[2]


@pytest.mark.parametrize("language", ["en", "de", "xx"])
def test_p_human_falls_and_score_rises_with_the_margin(reference: Reference, language: str) -> None:
    margins = np.linspace(-30, 30, 1001)
    p = reference.p_human(margins, [language] * 1001, np.full(1001, 700))
    score = reference.score(margins, [language] * 1001, np.full(1001, 700))
    assert (np.diff(p) <= 0).all() and p.min() > 0 and p.max() <= 1
    assert (np.diff(score) >= 0).all() and score.min() >= 0 and score.max() <= 1


def test_unknown_style_counts_as_usual_and_extreme_style_moves_little(reference: Reference) -> None:
    usual = reference.adjustment(np.zeros(2), ["en", "en"], None)
    assert reference.adjustment(np.zeros(2), ["en", "en"], np.full((2, 5), np.nan)).tolist() == usual.tolist()
    wild = reference.adjustment(np.zeros(2), ["en", "en"], np.full((2, 5), 1e9))
    assert np.abs(wild - usual).max() <= 2.5 * np.abs(reference.adjustment.weights).sum() + 1e-9


def test_few_people_vouch_for_no_small_rate() -> None:
    found = build_reference(world(sources=4, n=20))
    assert found.p_human(np.array([99.0]), ["en"], [900])[0] >= 1 - 0.05 ** (1 / 80) - 1e-6


def test_the_tail_bounds_counts_from_above() -> None:
    ordered = np.arange(1000.0)
    found = rates_above(ordered, np.array([-1.0, 990.0, 999.5]))
    assert found[0] == 1
    assert found[1:] == pytest.approx(upper_bound([10, 0], 1000))


def test_a_source_above_the_mean_makes_text_less_surprising() -> None:
    random = np.random.default_rng(2)
    source = np.repeat(np.arange(30), 50)
    tail = tail_of(random.normal(size=1500) + random.normal(size=30)[source], source)
    p = [tail.p(np.array([3.0]), deviations)[0] for deviations in (0.0, 1.0, 2.0)]
    assert p[0] <= p[1] < p[2]


def test_no_domain_left_out_fails_and_an_odd_one_makes_the_reference_more_careful() -> None:
    chosen = []
    for data in (world(spread=0.2), world(spread=0.2, odd=2.0)):
        groups = left_out_by(Fitter(data), data.domain)
        chosen.append(choose_deviations(groups))
        assert not any(group.failed for rate in (0.01, 0.001) for group in judged(groups, rate, chosen[-1]))
    assert chosen[1] > chosen[0]


def test_a_domain_over_twice_the_rate_fails_with_its_bounds() -> None:
    data = world(spread=0.2, odd=3.0)
    groups = left_out_by(Fitter(data), data.domain)
    first, *others = judged(groups, 0.01, 0.0)
    assert first.name == "d2" and first.failed and first.n == 240
    assert 0.02 < first.low < first.hits / first.n < first.high
    assert not any(group.failed for group in others)


def test_groups_too_small_to_test_are_named() -> None:
    data = world()
    few = np.where((data.source == "s00") & (np.arange(len(data.label)) < 20), "tiny", data.domain)
    found = {group.name: group for group in left_out_test(data, few, 0.01, 0.0)}
    assert found["tiny"].small and found["tiny"].n == 20 and not found["tiny"].failed
    assert not found["d1"].small
    assert all(group.small for group in left_out_test(data, few, 0.001, 0.0))
    lines = left_out_table(tuple(found.values()), 0.01)
    assert lines[-1] == "Too small to test: tiny (20)." and not any(line.startswith("| tiny") for line in lines)
    assert sum(line.startswith("| d") for line in lines) == 10


def test_error_rates_are_of_families_left_out(data: Labelled, reference: Reference) -> None:
    rates = {(rate.source, rate.kind): rate for rate in reference.error_rates(0.05)}
    fitter = Fitter(data)
    fitted = fitter.fit(data.family != "s05")
    for kind, label in (("human", 0), ("ai", 1)):
        own = (data.source == "s05") & (data.label == label)
        p = fitted.tail.p(fitted.adjusted(data, own), reference.deviations)
        assert rates["s05", kind].hits == (p <= 0.05).sum()
        assert rates["s05", kind].n == own.sum()


def test_the_table_by_domain_and_language_keeps_to_what_n_can_vouch_for() -> None:
    data = world(sources=40, n=150)
    found = {(row.domain, row.language): row for row in build_reference(data).allowances}
    row = found["d0", "en"]
    assert row.n == ((data.domain == "d0") & (data.language == "en") & (data.label == 0)).sum() == 600
    threshold = row.margins[0.01]
    assert threshold is not None and row.margins[0.001] is None
    own = data.margin[(data.domain == "d0") & (data.language == "en") & (data.label == 0)]
    assert 0 < (own > threshold).sum() / len(own) < 0.01


def test_a_strange_style_or_language_is_unlike_the_reference(reference: Reference) -> None:
    ordinary, strange = np.zeros((1, 5)), np.full((1, 5), 40.0)
    found = reference.unlike(["en", "en", "xx"], np.concatenate([ordinary, strange, ordinary]))
    assert found.tolist() == [False, True, True]


def test_the_reference_survives_writing_and_reading(reference: Reference, tmp_path: Path) -> None:
    write_files(tmp_path, {"calibration.npz": reference.arrays()})
    again = load_reference(tmp_path)
    margins = np.linspace(-5, 9, 100)
    arguments = margins, ["en"] * 100, np.full(100, 700), np.zeros((100, 5))
    assert np.array_equal(again.p_human(*arguments), reference.p_human(*arguments))
    assert np.array_equal(again.score(*arguments), reference.score(*arguments))
    assert again.error_rates(0.01) == reference.error_rates(0.01)
    assert [row._replace(margins={}) for row in again.allowances] == [
        row._replace(margins={}) for row in reference.allowances
    ]
    assert again.profiles.sources == reference.profiles.sources and again.deviations == reference.deviations
    assert len(again.digest) == 32 and reference.digest == ""
    assert (tmp_path / "calibration.npz").stat().st_size < 2_000_000


def test_scores_of_sources_left_out_are_probabilities(data: Labelled) -> None:
    seen = data.source < "s20"
    names = [field.name for field in dataclasses.fields(Labelled)]
    part = Labelled(**{name: getattr(data, name)[seen] for name in names})
    score = build_reference(part).score(data.margin, data.language, data.length, data.style).astype(np.float64)
    (found,) = reliability(score[~seen], data.label[~seen], np.full((~seen).sum(), "new"), prior=0.5)
    assert found.n_human == found.n_ai == 1200
    assert found.error < 0.08


def test_reliability_weighs_classes_to_the_prior() -> None:
    label = np.repeat([0, 1], [900, 100])
    (found,) = reliability(np.full(1000, 0.5), label, np.full(1000, "en"), prior=0.5)
    assert found.error == pytest.approx(0.0) and found.bins[0].share == pytest.approx(0.5)


def test_small_groups_and_unjudged_documents_are_left_out_of_reliability() -> None:
    label = np.tile([0, 1], 50)
    score = np.where(np.arange(100) < 40, np.nan, 0.7)
    found = reliability(score, label, np.where(np.arange(100) < 90, "large", "small"), prior=0.3)
    assert [one.group for one in found] == []
    found = reliability(np.full(100, 0.7), label, np.where(np.arange(100) < 90, "large", "small"), prior=0.3)
    assert [(one.group, one.n_human, one.n_ai) for one in found] == [("large", 45, 45)]
    assert found[0].error == pytest.approx(0.4)


def test_length_buckets_count_chinese_threefold() -> None:
    names = length_names([400, 400, 5000], np.array(["en", "zh", "en"]))
    assert names.tolist() == ["0-500", "1000-2000", "2000+"]


def test_the_bundled_reference_keeps_its_promise_in_every_source_left_out() -> None:
    rates = [rate for rate in load_reference().error_rates(0.01) if rate.kind == "human" and rate.n >= 50]
    assert len(rates) > 50
    assert np.mean([rate.hits / rate.n for rate in rates]) <= 0.01
