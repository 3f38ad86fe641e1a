"""Regurgitative training: made-up languages, findings and orders, gaps with intervals, every arm at tiny size."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from detectors.errors import InputError
from tests.detectors.tiny_models import need_torch, write_causal

need_torch()
for package in ("sacrebleu", "sklearn"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'foxing[train]' to run this test")

from curricula.contrasts import seed_interval  # noqa: E402
from curricula.experiments import regurgitative, regurgitative_model  # noqa: E402
from curricula.experiments.declaration import declared, judged  # noqa: E402
from curricula.experiments.regurgitative_arms import Arms, joined, picked  # noqa: E402
from curricula.experiments.regurgitative_gap import gap_closed  # noqa: E402
from curricula.experiments.regurgitative_grammar import Grammar, Pairs  # noqa: E402
from curricula.experiments.regurgitative_orders import (  # noqa: E402
    QUALITY,
    Detector,
    decided,
    flagged,
    order_of,
    taken,
)
from curricula.experiments.regurgitative_pairs import drawn_parts, made_parts  # noqa: E402
from curricula.experiments.running import Experiment, run_experiment  # noqa: E402
from curricula.experiments.source import Source  # noqa: E402
from curricula.importance import Importance  # noqa: E402
from curricula.mixing import Accumulate, Replace  # noqa: E402
from curricula.order import HumanFirst  # noqa: E402
from curricula.quality import QualityFirst  # noqa: E402
from detectors.protocols import Device  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs" / "experiments"
SMALL = {"tokens": 300, "base_tokens": 200, "width": 16, "layers": 1, "block": 64, "max_tokens": 6, "vocabulary": 300}
TINY = regurgitative.Recipe(rows=24, test=8, nouns=10, **SMALL)  # type: ignore[arg-type]


def tiny(seeds: tuple[int, ...] = (101, 102)) -> Experiment:
    experiment = Experiment.of("regurgitative", "smoke")
    return replace(experiment, declaration=replace(experiment.declaration, seeds={"smoke": seeds}), recipe=TINY)


def test_a_grammar_says_the_same_for_a_seed_and_something_else_for_another_seed_or_part() -> None:
    pairs = Grammar(103).pairs(0, 30)
    assert pairs == Grammar(103).pairs(0, 30)
    assert picked(Grammar(103).pairs(0, 50), np.arange(30)) == pairs
    assert not set(pairs.sources) & set(Grammar(104).pairs(0, 30).sources)
    assert set(pairs.sources) != set(Grammar(103).pairs(1, 30).sources)


def test_any_word_for_a_thing_is_right_and_no_other() -> None:
    grammar = Grammar(105, nouns=20)
    pairs = grammar.pairs(0, 400)
    wanted = dict(zip(pairs.sources, pairs.plain, strict=True))
    assert all(
        grammar.plain(target) == wanted[source] for source, target in zip(pairs.sources, pairs.targets, strict=True)
    )
    assert sum(target != plain for target, plain in zip(pairs.targets, pairs.plain, strict=True)) > 100
    source, target = pairs.sources[0], pairs.targets[0]
    assert grammar.plain(" ".join(target.split()[1:])) != wanted[source]
    assert grammar.plain(target + " und") != wanted[source]


def test_the_verb_is_last_behind_a_conjunction_and_only_there() -> None:
    grammar = Grammar(106)
    groups = grammar._words[1][grammar.nouns : grammar.nouns + grammar.verbs]
    verbs = {word + end for group in groups for word in group for end in ("t", "en")}
    subordinate = 0
    for target in grammar.pairs(0, 200).targets:
        main, _, rest = next(
            (found for word in ("weil", "wenn", "während") if (found := target.partition(f" {word} "))[1]),
            (target, "", ""),
        )
        assert sum(word in verbs for word in main.split()) == 1 and main.split()[-1] not in verbs
        subordinate += bool(rest)
        assert not rest or rest.split()[-1] in verbs
    assert 30 < subordinate < 90


def test_what_is_wrong_on_its_face_is_flagged() -> None:
    good = Pairs(("the red house saw 12 small dogs",), ("das rote haus sah 12 kleine hunde",))
    assert not flagged(good, ("", "")).any()
    bad = ("", "the red house saw 12 small dogs", "das rote haus sah 13 kleine hunde", "das 12", "die die " * 30 + "12")
    found = flagged(Pairs(good.sources * len(bad), bad), ("", ""))
    assert found.tolist() == [True] * len(bad)
    english = Pairs(
        ("Two young men are playing football in the park behind their old school.",),
        ("The two boys were kicking their ball around a field near where they learned.",),
    )
    assert flagged(english, ("en", "de")).tolist() == [True]
    assert flagged(english, ("", "")).tolist() == [False]


def rows_of(values: list[float], machine: list[float], sources: list[str]) -> pl.LazyFrame:
    pairs = Pairs(
        tuple(f"a {at} word" for at in range(len(values))), tuple(f"ein {at} wort" for at in range(len(values)))
    )
    return decided(pairs, ("", ""), sources, value=np.array(values), machine=np.array(machine))


def test_orders_are_those_of_the_curricula() -> None:
    rows = rows_of([-3.0, np.nan, -1.0, -2.0], [0.9, 0.2, 0.4, 0.1], ["real", "real", "made", "made"])
    assert order_of(QualityFirst(1, QUALITY), rows).tolist() == [2, 3, 0, 1]
    assert order_of(HumanFirst(1), rows).tolist() == [3, 1, 2, 0]
    assert sorted(taken(Replace(1, ("real",), 1.0), rows).tolist()) == [2, 3]
    assert sorted(taken(Accumulate(1, ("real",), 0.5), rows).tolist()) == [0, 1, 2, 3]
    certain = rows_of([0.0] * 4, [0.0, 0.0, 1.0, 1.0], ["real", "real", "made", "made"])
    assert sorted(taken(Importance(1), certain).tolist()) == [0, 0, 1, 1]


def test_a_detector_tells_apart_what_has_other_words() -> None:
    human, machine = [f"haus baum {at} vogel" for at in range(40)], [f"haus haus {at} haus" for at in range(40)]
    detector = Detector.fitted(human[:20], machine[:20])
    assert detector.probabilities(human[20:]).max() < 0.5 < detector.probabilities(machine[20:]).min()


noisy = st.lists(st.floats(-1, 1), min_size=6, max_size=6)


@given(noisy, noisy, st.floats(-3, 3))
def test_the_ends_of_a_gaps_interval_are_where_the_difference_is_just_not_different_from_nothing(
    gains: list[float], gaps: list[float], shift: float
) -> None:
    gain, gap = np.array(gains) + shift, np.array(gaps) + 5
    assume(np.std(gain) > 1e-3 and np.std(gap) > 1e-3)
    found = gap_closed(gain, gap)
    assert found.conclusive and found.low <= found.share <= found.high
    for end, at in ((found.low, 0), (found.high, 1)):
        assert seed_interval(gain - end * gap)[at] == pytest.approx(0, abs=1e-6)


def test_a_gap_that_may_be_none_is_not_closed() -> None:
    found = gap_closed(np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.5, 1.0]))
    assert not found.conclusive and np.isnan(found.share)
    assert gap_closed(np.array([1.0, 1.0]), np.array([2.0, 2.0])).share == 0.5


def made_up(gap: float, helps: float, seeds: int = 8) -> list[dict[str, np.ndarray]]:
    """What seeds would measure if people's data were `gap` better, and every remedy closed a share of it."""
    found = []
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        items = 50 + draw.normal(size=40)

        def arm(level: float, items: np.ndarray = items, draw: np.random.Generator = draw) -> np.ndarray:
            return items + level + 0.05 * draw.normal(size=40) + 0.2 * draw.normal()

        remedy = helps * gap
        level = {
            "real": gap,
            "generated": 0.0,
            "mixed": remedy,
            "quality": remedy,
            "human": remedy,
            "reversed": -remedy,
        }
        values = {f"chrf:{name}@{step}": arm(value) for name, value in level.items() for step in (1, 2, 3)}
        values |= {"chrf:teacher0": arm(gap), "chrf:replace2": arm(-gap)}
        values |= {"chrf:accumulate2": arm(gap / 2), "chrf:importance2": arm(gap / 2 + remedy)}
        values |= {"wrong:real": np.zeros(20), "wrong:generated": np.ones(20)}
        values |= {"distinct_2:real": np.array([0.9]), "distinct_2:generated": np.array([0.8])}
        found.append(values)
    return found


def verdicts(seeds: list[dict[str, np.ndarray]]) -> dict[str, str]:
    measured = regurgitative.measured(seeds, regurgitative.Recipe())
    findings = judged(declared("regurgitative"), measured, with_verdict=True)
    return {found.signature.id: found.verdict for found in findings}


def test_remedies_that_close_half_the_gap_are_reproduced() -> None:
    assert set(verdicts(made_up(4.0, 0.5)).values()) == {"reproduced"}


def test_remedies_that_harm_are_not_reproduced() -> None:
    found = verdicts(made_up(4.0, -0.5))
    assert {found[name] for name in ("mixed-helps", "quality-first-helps", "human-first-helps")} == {"not reproduced"}
    assert found["gap-stays"] == "reproduced"


def test_remedies_are_inconclusive_where_there_may_be_no_gap() -> None:
    found = verdicts(made_up(0.0, 0.0))
    of_gap = ("mixed-helps", "quality-first-helps", "human-first-helps", "reversed-hurts")
    assert {found[name] for name in of_gap} == {"inconclusive"}
    assert found["real-over-generated"] == "not reproduced"


def test_every_arm_is_trained_on_as_many_tokens_and_measured(tmp_path: Path) -> None:
    ran = run_experiment(tiny((101,)), tmp_path)
    assert [found.signature.id for found in ran.findings] == [each.id for each in declared("regurgitative").signatures]
    scores = ran.tables["scores"]
    assert isinstance(scores, dict)
    arms = {f"{arm}@{step}" for arm in ("real", "generated", "mixed") for step in (1, 2, 3)}
    arms |= {f"{arm}@{step}" for arm in ("quality", "human", "reversed") for step in (1, 2)}
    chains = {"replace2", *(f"{chain}{at}" for chain in ("accumulate", "importance") for at in (1, 2))}
    assert set(scores) == {"teacher0", "teacher1"} | arms | chains
    record = json.loads((tmp_path / "result.json").read_text())
    assert "reproduced" not in json.dumps(record["signatures"])
    assert record["declaration_sha256"] == declared("regurgitative").digest
    signatures = record["tables"]["signatures"]
    assert "version:" in signatures["BLEU"] and "nc:6" in signatures["chrF"]
    assert {label.rpartition("/")[0] for label in ran.curves} == {"", "generations"}


def test_steps_have_the_same_tokens_in_every_order(tmp_path: Path) -> None:
    parts = made_parts(Grammar(107, nouns=10), teachers=2, generations=1, rows=60, test=4)
    arms = regurgitative.arms_of(107, replace(TINY, generations=1), parts, tmp_path)
    pairs, sizes = parts.fresh[0], arms.models.sizes(parts.fresh[0])
    for seed in range(5):
        rows = arms._up_to(pairs, np.random.default_rng(seed).permutation(60), 200)
        assert 200 - sizes.max() < sizes[rows].sum() <= 200


def test_likelihood_is_that_of_each_pair_alone(tmp_path: Path) -> None:
    parts = made_parts(Grammar(107, nouns=10), teachers=2, generations=1, rows=12, test=4)
    arms: Arms = regurgitative.arms_of(107, TINY, parts, tmp_path)
    writer = arms.models.trained("one", parts.teachers[0])
    pairs = joined([parts.test, Pairs(("word",), ("",))])
    together = arms.models.likelihood(writer, pairs)
    alone = [arms.models.likelihood(writer, picked(pairs, np.array([at])))[0] for at in range(len(pairs))]
    assert np.isnan(together[-1]) and (together[:-1] < 0).all()
    assert together == pytest.approx(alone, abs=1e-5, nan_ok=True)


def write_translations(file: Path, rows: int) -> Path:
    pairs = Grammar(108, nouns=10).pairs(0, rows)
    split = ["test_2016" if at % 4 == 0 else "train" for at in range(rows)]
    pl.DataFrame({"src": pairs.targets, "tgt": pairs.sources, "split": split}).write_parquet(file)
    return file


def test_parts_of_a_file_are_disjoint_and_held_out_rows_are_of_its_tests(tmp_path: Path) -> None:
    file = write_translations(tmp_path / "pairs.parquet", 200)
    parts = drawn_parts(str(file), 1, teachers=2, generations=2, rows=1000, test=20)
    frame = pl.read_parquet(file)
    tested = set(frame.filter(pl.col("split") != "train")["tgt"])
    lists = [part.sources for part in (*parts.teachers, *parts.fresh, parts.test)]
    assert len({len(each) for each in lists[:-1]}) == 1
    assert len(set().union(*lists)) == sum(map(len, lists))
    assert set(parts.test.sources) <= tested
    assert parts.languages == ("en", "de")
    translation = dict(frame.select("tgt", "src").iter_rows())
    assert all(
        translation[source] == target for source, target in zip(parts.test.sources, parts.test.targets, strict=True)
    )


def test_parts_are_drawn_from_real_captions(reference_data: Path) -> None:
    recipe = regurgitative_model.Recipe()
    file = reference_data / "tasks" / "mt_de_en.parquet"
    if not file.is_file():
        pytest.skip(f"{file} is not there. Set FOXING_DATA to a folder that has it.")
    parts = drawn_parts(str(file), 1, teachers=2, generations=4, rows=recipe.rows, test=recipe.test)
    assert {len(part) for part in (*parts.teachers, *parts.fresh)} == {recipe.rows}
    assert len(parts.test) == recipe.test
    assert flagged(parts.test, parts.languages).mean() < 0.2


def test_a_file_without_pairs_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["one", "two"]}).write_parquet(tmp_path / "texts.parquet")
    with pytest.raises(InputError, match="no columns 'src' and 'tgt'"):
        drawn_parts(str(tmp_path / "texts.parquet"), 1, teachers=2, generations=2, rows=10, test=2)
    file = write_translations(tmp_path / "few.parquet", 8)
    with pytest.raises(InputError, match="too few"):
        drawn_parts(str(file), 1, teachers=2, generations=2, rows=10, test=2)


def test_the_recipe_of_gpu_scale_runs_at_tiny_size(tmp_path: Path) -> None:
    model = write_causal(tmp_path / "model")
    source = Source(str(model), str(write_translations(tmp_path / "pairs.parquet", 160)), Device.CPU)
    experiment = Experiment.of("regurgitative", "gpu", source)
    recipe = replace(
        experiment.recipe,
        steps=2,
        generations=1,
        rows=24,
        test=4,
        tuned_tokens=300,
        tuned_block=64,
        tuned_batch=1,
        **SMALL,
    )
    small = replace(experiment.declaration, seeds={"gpu": (101,)})
    ran = run_experiment(replace(experiment, declaration=small, recipe=recipe), tmp_path / "out")
    assert "tuned-real-over-generated" in {found.signature.id for found in ran.findings}
    tuned = ran.tables["tuned"]
    assert isinstance(tuned, dict) and set(tuned) == {"teacher", "real", "generated"}
    assert all(np.isfinite(scores["loss"]) for scores in tuned.values())
    assert experiment.recipe.data_digest and experiment.recipe.model_digest


def test_scale_gpu_has_ten_steps_four_generations_and_the_signatures_of_scale_cpu() -> None:
    recipe = regurgitative_model.Recipe()
    assert (recipe.steps, recipe.generations) == (10, 4)
    ids = [each.id for each in declared("regurgitative-gpu").signatures]
    assert ids == [*(each.id for each in declared("regurgitative").signatures), "tuned-real-over-generated"]


def test_results_that_are_shown_are_of_the_declaration_that_is_there() -> None:
    folder = Path(regurgitative.__file__).parent / "declarations"
    digests = {
        name: hashlib.sha256((folder / f"{name}.json").read_bytes()).hexdigest()
        for name in ("regurgitative", "regurgitative-gpu")
    }
    assert all(declared(name).digest == digest for name, digest in digests.items())
    for file in DOCS.glob("regurgitative*.json"):
        record = json.loads(file.read_text("utf-8"))
        name = "regurgitative" if record["scale"] == "cpu" else f"regurgitative-{record['scale']}"
        assert record["declaration_sha256"] == digests[name]
        assert record["seeds"] == list(declared(name).seeds[record["scale"]])
