from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from audit.prevalence import Interval, Shares, prevalence
from audit.score_cells import ScoreCells
from audit.two_phase import Labels
from detectors.ai_text.spread import BIN_ODDS, Profiles
from tests.audit.judging import Tables, ai_text, document
from tests.audit.labelled_sources import HUMAN_ODDS, MACHINE_ODDS, bell, drawn, pool, usual

TABLES, PROFILES = Tables(), usual()


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.prevalence.DRAWS", 500)
    monkeypatch.setattr("audit.prevalence._COARSE_DRAWS", 300)


Counts = np.ndarray


def cells(
    sources: dict[str, Counts], *, outside: int = 0, machine: Counts | None = None, labels: Labels | None = None
) -> ScoreCells:
    """Sources of so many documents a bin; the last rows are unlike the reference. Every document has 100 words."""
    odds, names = [], []
    for name, counts in sources.items():
        odds += np.repeat(BIN_ODDS, counts).tolist()
        names += [name] * int(counts.sum())
    n = len(odds)
    frame = pl.DataFrame(
        {
            "shard": ["s"] * (n + outside),
            "row": pl.Series(range(n + outside), dtype=pl.Int64),
            "source": [*names, *["odd"] * outside],
            "document": [document(100)] * (n + outside),
            "ai_text": [
                {**ai_text(m, language="en"), "out_of_support": place >= n}
                for place, m in enumerate([*odds, *[0.0] * outside])
            ],
        },
        schema_overrides={"row": pl.Int64},
    )
    scores = pl.Series("score", 1 / (1 + np.exp(-np.array([*odds, *[0.0] * outside]))))
    return ScoreCells.of(frame.with_columns(pl.col("ai_text").struct.with_fields(scores)), TABLES, labels)


def mixed(share: float, n: int = 3000, sources: int = 12, seed: int = 3) -> Counts:
    return drawn(n, share, pool(sources, HUMAN_ODDS, 50 + seed), pool(sources, MACHINE_ODDS, 70 + seed), seed)


def shares(found: ScoreCells, profiles: Profiles = PROFILES) -> Shares:
    return prevalence(found, profiles, seed=17)


def width(interval: Interval | None) -> float:
    assert interval is not None
    return interval.high - interval.low


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_the_share_is_found_by_documents_and_by_words(share: float) -> None:
    found = shares(cells({"a": mixed(share)}))
    for one in (found.documents, found.words):
        assert one.share == pytest.approx(share, abs=0.08) and one.n == 3000
        assert one.interval is not None and one.interval.low <= share <= one.interval.high
    assert found.documents.share == pytest.approx(found.words.share)


def test_human_text_alone_has_an_interval_from_0() -> None:
    found = shares(cells({"a": mixed(0.0)})).documents
    assert found.interval is not None and found.interval.low == 0 and found.interval.high < 0.1


def test_other_methods_stand_beside_it() -> None:
    (other,) = shares(cells({"a": mixed(0.3)})).documents.second_opinions
    assert other.method == "EM on scores (Saerens)" and other.share == pytest.approx(0.3, abs=0.15)


def test_sources_and_languages_have_shares_of_their_own() -> None:
    found = shares(cells({"a": mixed(0.0, seed=1), "b": mixed(0.6, seed=2), "c": mixed(0.6, 40, seed=2)})).groups
    a, b, c = (found["source"][name] for name in "abc")
    assert a.share is not None and b.share is not None and a.share < 0.1 < 0.4 < b.share
    assert width(c.interval) > width(b.interval)
    assert found["language"]["en"].n == 6040 and found["domain"] == found["time"] == {}


def test_small_groups_have_no_share_and_say_why() -> None:
    found = shares(cells({"a": mixed(0.5, 29), "b": mixed(0.5, 30)})).groups["source"]
    assert found["a"].share is None and found["a"].n == 29
    assert found["a"].reasons == ("fewer than 30 documents could be scored",)
    assert found["b"].share is not None


def test_scores_that_fit_no_mix_are_never_taken_for_certain() -> None:
    # Human text of a kind that nobody labelled, all of it a little above what divides people from models.
    odd = np.random.default_rng(0).multinomial(300, bell(1.0, 0.15))
    for one in (
        (found := shares(cells({"a": odd}))).documents,
        found.groups["source"]["a"],
        found.groups["language"]["en"],
    ):
        assert width(one.interval) > 0.2


def test_one_source_is_less_certain_than_a_corpus_of_many() -> None:
    counts = mixed(0.3, sources=40)
    found = shares(cells({"a": counts}))
    assert width(found.groups["source"]["a"].interval) > 1.2 * width(found.documents.interval)


def test_documents_unlike_the_reference_may_be_either() -> None:
    counts = mixed(0.2)
    inside, found = (shares(cells({"a": counts}, outside=n)).documents for n in (0, 1000))
    assert inside.interval is not None and found.interval is not None
    assert found.interval.low == pytest.approx(0.75 * inside.interval.low)
    assert found.interval.high == pytest.approx(0.75 * inside.interval.high + 0.25)
    assert found.n == 4000 and any("25 % of it is unlike anything" in reason for reason in found.reasons)


def test_nothing_but_such_documents_is_no_estimate() -> None:
    found = shares(cells({"a": np.zeros(len(BIN_ODDS), np.int64)}, outside=20))
    for one in (found.documents, found.words):
        assert one.share is None and one.interval is None and one.n == 20
        assert any("100 % of it is unlike anything" in reason for reason in one.reasons)


def test_scores_that_fit_no_mix_widen_the_interval_and_say_so() -> None:
    # Between people and models, and narrower than either: no mix of the labelled sources looks so.
    strange = np.random.default_rng(0).multinomial(3000, bell((HUMAN_ODDS + MACHINE_ODDS) / 2, 0.2))
    found = shares(cells({"a": strange})).documents
    assert any("fit no mix of the labelled sources" in reason for reason in found.reasons)
    assert width(found.interval) > 2 * width(shares(cells({"a": mixed(0.5)})).documents.interval)


def test_no_labelled_source_is_no_estimate() -> None:
    only = Profiles(("m",), ("model",), np.ones((1, len(BIN_ODDS)), np.int64))
    for profiles in (Profiles(), only):
        found = shares(cells({"a": mixed(0.3)}), profiles)
        assert found.documents.share is None and found.documents.n == 3000
        assert found.documents.reasons == ("the detector was measured on no labelled source",)


def test_nothing_scored_is_no_estimate() -> None:
    found = shares(ScoreCells())
    assert found.documents.share is None and found.documents.reasons == ("no document could be scored",)
    assert found.words.share is None and found.groups["source"] == {}


def test_sources_labelled_under_their_own_name_are_held_against_themselves() -> None:
    human, machine = pool(40, HUMAN_ODDS, 1), pool(40, MACHINE_ODDS, 2)
    h, m = (int(np.argmax(shapes @ BIN_ODDS)) for shapes in (human, machine))
    random = np.random.default_rng(5)
    text = {f"h{h}": random.multinomial(2000, human[h]), f"m{m}": random.multinomial(500, machine[m])}
    found, blind = shares(cells(text)), shares(cells({f"x{name}": counts for name, counts in text.items()}))
    assert found.documents.share == pytest.approx(0.2, abs=0.03)
    assert width(found.documents.interval) < 0.5 * width(blind.documents.interval)
    own, others = found.groups["source"][f"h{h}"], blind.groups["source"][f"xh{h}"]
    assert width(own.interval) < width(others.interval)


def labelled(counts: Counts, machine_share: Counts, n: int, *, worst: bool = False) -> tuple[Labels, float]:
    """Labels of n rows of a corpus, and its true share."""
    random = np.random.default_rng(9)
    bins = np.repeat(np.arange(len(counts)), counts)
    written = random.random(len(bins)) < machine_share[bins]
    rows = np.arange(len(bins))[-n:] if worst else random.choice(len(bins), n, replace=False)
    frame = pl.DataFrame({"shard": ["s"] * n, "row": pl.Series(rows, dtype=pl.Int64), "label": written[rows]})
    return Labels(frame), float(written.mean())


def test_labels_of_a_random_sample_decide_even_where_scores_mislead() -> None:
    counts = mixed(0.4)
    misled = np.full(len(counts), 0.05)
    labels, truth = labelled(counts, misled, 400)
    found = shares(cells({"a": counts}, labels=labels)).documents
    assert (found.method, found.labelled) == ("two-phase with labels", 400)
    assert found.interval is not None and found.interval.low <= truth <= found.interval.high < 0.15
    assert next(opinion.method for opinion in found.second_opinions) == "mixture of score distributions"


def test_labels_narrow_the_interval() -> None:
    counts = mixed(0.4)
    likely = 1 / (1 + np.exp(-3 * BIN_ODDS))
    labels, truth = labelled(counts, likely, 300)
    with_labels, without = (shares(cells({"a": counts}, labels=given)).documents for given in (labels, None))
    assert with_labels.interval is not None and with_labels.interval.low <= truth <= with_labels.interval.high
    assert width(with_labels.interval) < 0.7 * width(without.interval)


def test_labels_of_the_worst_rows_are_no_random_sample() -> None:
    counts = mixed(0.4)
    labels, _ = labelled(counts, np.ones(len(counts)), 200, worst=True)
    found, without = (shares(cells({"a": counts}, labels=given)).documents for given in (labels, None))
    assert found.labelled == 0 and (found.share, found.interval) == (without.share, without.interval)
    assert any("200 labels were not used" in reason for reason in found.reasons)


def test_few_labels_change_nothing() -> None:
    counts = mixed(0.4)
    labels, _ = labelled(counts, np.ones(len(counts)), 20)
    assert shares(cells({"a": counts}, labels=labels)).documents.labelled == 0


def test_a_wide_interval_comes_with_the_labels_that_would_narrow_it() -> None:
    wide, narrow = (shares(cells({"a": mixed(share, sources=4)})).documents for share in (0.5, 0.0))
    assert width(wide.interval) > 0.1 and any("labels of random documents" in reason for reason in wide.reasons)
    assert width(narrow.interval) < 0.1 and narrow.reasons == ()


def test_the_same_seed_gives_the_same_shares() -> None:
    one, other = (shares(cells({"a": mixed(0.3)})) for _ in range(2))
    assert one == other
