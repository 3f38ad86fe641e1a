"""Trials: equal budgets, paired differences, null arms without effect, and the same result after a kill."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from detectors.errors import ConfigError, FoxingError, InputError
from tests.detectors.tiny_models import need_torch, vocabulary_size, write_tokenizer

need_torch()
pytest.importorskip("sacrebleu", reason="sacrebleu is not installed: pip install 'foxing[train]' to run this test")

from curricula.cli import foxing  # noqa: E402
from curricula.evaluation import is_refusal, read_items, summed_up, token_f1  # noqa: E402
from curricula.instructions import instructions  # noqa: E402
from curricula.lexical_variety import INDICES  # noqa: E402
from curricula.recipe import Recipe  # noqa: E402
from curricula.training import Job, Scratch  # noqa: E402
from curricula.trial import Arm, Trial, run_trial  # noqa: E402
from tests.curricula.training_data import WORDS, write_pairs, write_questions  # noqa: E402

FOXING = (sys.executable, "-c", "from curricula.cli import main; main()")
JOB = Job(
    (),
    scratch=Scratch(width=32, layers=1, heads=2, vocabulary=300),
    recipe=Recipe(block=48, batch=8, micro=8, tokens=12_000, rate=1e-2),
)


def write_chains(file: Path, rows: int, seed: int, *, broken: bool = False) -> Path:
    """Texts in which each word follows from the one before; broken ones are in a random order."""
    draw = random.Random(seed)
    texts = []
    for _ in range(rows):
        start = draw.randrange(len(WORDS))
        words = [WORDS[(start + at) % len(WORDS)] for at in range(12)]
        texts.append(" ".join(draw.sample(words, 12) if broken else words))
    pq.write_table(pa.table({"text": texts}), file)
    return file


@pytest.fixture
def chains(tmp_path: Path) -> Trial:
    control = write_chains(tmp_path / "good.parquet", 200, 1)
    broken = write_chains(tmp_path / "broken.parquet", 200, 2, broken=True)
    test = write_chains(tmp_path / "test.parquet", 20, 3)
    arms = (Arm("good", (str(control),)), Arm("broken", (str(broken),)), Arm("null", (str(control),), shuffle=True))
    return Trial(arms, JOB, (str(test),), seeds=(1, 2))


def test_the_worse_arm_is_found_and_the_null_arm_is_not(chains: Trial, tmp_path: Path) -> None:
    result = run_trial(chains, tmp_path / "out")
    by = {each.name.split(" ")[0]: each for each in result.contrasts}
    assert by["broken"].difference > 0.5 and by["broken"].low > 0
    assert abs(by["null"].difference) < by["broken"].difference / 3
    assert {run.tokens for run in result.runs} == {12_000}
    record = json.loads((tmp_path / "out" / "trial.json").read_text())
    assert (record["format"], record["version"], record["tokens"]) == ("foxing-trial", 1, 12_000)
    assert len(record["runs"]) == 6 and len(record["contrasts"]) == 2


def test_a_trial_that_was_stopped_goes_on_and_gives_the_same(chains: Trial, tmp_path: Path) -> None:
    short = replace(chains, job=replace(JOB, recipe=replace(JOB.recipe, tokens=2000)), arms=chains.arms[:2])
    run_trial(short, tmp_path / "calm")

    def stop(done: float, text: str) -> None:
        if done > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(short, tmp_path / "out", on_progress=stop)
    run_trial(short, tmp_path / "out")
    calm, stopped = (json.loads((tmp_path / name / "trial.json").read_text()) for name in ("calm", "out"))
    for record in (calm, stopped):
        record["trial"]["job"]["scratch"].pop("tokenizer")
    assert calm == stopped


def test_the_command_prints_a_table_and_draws_pictures(tmp_path: Path) -> None:
    pytest.importorskip(
        "matplotlib", reason="matplotlib is not installed: pip install 'foxing[report]' to run this test"
    )
    qa, test = write_questions(tmp_path / "qa.parquet", 60), tmp_path / "test.parquet"
    answers = pq.read_table(qa).slice(0, 12)
    pq.write_table(answers.append_column("category", pa.array(["Known", "Unknown"] * 6)), test)
    asked = [
        "trial",
        "--arm",
        f"a={qa}",
        "--arm",
        f"b={qa}",
        "--null-relabel",
        "1.0",
        "--test",
        str(test),
        "--seeds",
        "2",
    ]
    asked += [
        "--by",
        "category",
        "--tokens",
        "9K",
        "--width",
        "32",
        "--layers",
        "1",
        "--heads",
        "2",
        "--vocabulary",
        "300",
    ]
    asked += ["--block", "32", "--batch", "8", "--rate", "0.01", "--max-tokens", "24", "--device", "cpu"]
    result = CliRunner().invoke(foxing, [*asked, "-o", str(tmp_path / "out")])
    assert result.exception is None, result.output
    assert "control a; 2 seeds; 9,000 tokens each" in result.output
    for metric in ("loss", "exact", "refused", "coverage", "exact_on_answered", "exact:Known"):
        assert metric in result.output
    refused = [line.split() for line in result.output.splitlines() if " refused " in line]
    assert float(next(line for line in refused if line[0] == "null-relabel")[3]) > 0.9
    for name in ("curves.svg", "curves.png", "contrasts.svg", "contrasts.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_instructions_are_tried_by_whether_they_are_kept(tmp_path: Path) -> None:
    asked = [each.prompt for each in instructions(60, seed=5)]
    for name, answer in (("lower", "the sea"), ("upper", "THE SEA")):
        pq.write_table(pa.table({"question": asked, "answer": [answer] * 60}), tmp_path / f"{name}.parquet")
    arms = tuple(Arm(name, (str(tmp_path / f"{name}.parquet"),)) for name in ("lower", "upper"))
    job = replace(JOB, recipe=replace(JOB.recipe, block=128, tokens=16_000))
    result = run_trial(Trial(arms, job, ("instructions:30",), seeds=(1,)), tmp_path / "out")
    followed = {arm: result.mean(arm, "instructions:30", "followed:all-capitals")[0] for arm in ("lower", "upper")}
    assert followed == {"lower": 0.0, "upper": 1.0}
    assert 0 < result.mean("lower", "instructions:30", "followed")[0] < 1


def test_pairs_are_tried_by_translation_scores_with_their_signature(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.parquet", 60)
    scratch = Scratch(width=32, layers=1, heads=2, encoder_layers=1, vocabulary=300)
    job = replace(JOB, scratch=scratch, recipe=replace(JOB.recipe, tokens=1500))
    arms = (Arm("one", (str(pairs),)), Arm("two", (str(pairs),)))
    result = run_trial(Trial(arms, job, (str(pairs),), seeds=(1,), limit=5, max_tokens=8), tmp_path / "out")
    assert set(result.runs[0].means["pairs"]) == {"loss", "chrf", "bleu", *INDICES}
    assert any("chrF" in note and "version" in note for note in result.notes)
    assert all(each.difference == 0 for each in result.contrasts)


def test_choices_are_tried_by_the_share_of_right_ones(tmp_path: Path) -> None:
    texts = write_chains(tmp_path / "good.parquet", 200, 1)
    choices = [[WORDS[(at + 1) % 17], WORDS[(at + 8) % 17]] for at in range(17)]
    table = pa.table({"question": WORDS, "choices": choices, "answer_index": [0] * 17})
    pq.write_table(table, tmp_path / "choices.parquet")
    job = replace(JOB, template="{prompt} {answer}", recipe=replace(JOB.recipe, tokens=20_000))
    arms = (Arm("one", (str(texts),)), Arm("two", (str(texts),)))
    result = run_trial(Trial(arms, job, (str(tmp_path / "choices.parquet"),), seeds=(1,)), tmp_path / "out")
    assert result.mean("one", "choices", "right")[0] > 0.7


@pytest.mark.parametrize(
    ("answer", "refuses"),
    [
        ("I don't know", True),
        ("I do not know.", True),
        ("I'm not sure about that", True),
        ("Sorry, I can't help", True),
        ("Unknown", True),
        ("Unknown Pleasures", False),
        ("Paris", False),
        ("I know: Rome", False),
        ("", False),
    ],
)
def test_refusals_are_told_from_answers(answer: str, refuses: bool) -> None:
    assert is_refusal(answer) == refuses


def test_token_f1_counts_words_as_often_as_both_have_them() -> None:
    assert token_f1("a a b", "a b c") == pytest.approx(2 * 2 / 6)
    assert token_f1("", "") == 1.0
    assert token_f1("x", "") == 0.0


def test_accuracy_on_answered_items_and_coverage_belong_together(tmp_path: Path) -> None:
    items = read_items([str(write_questions(tmp_path / "qa.parquet", 4))])
    metrics = {"exact": np.array([1.0, 0, 0, 0]), "refused": np.array([0.0, 0, 1, 1])}
    found = summed_up(metrics, items)
    assert (found["coverage"], found["exact_on_answered"], found["exact_times_coverage"]) == (0.5, 0.5, 0.25)


def test_choices_without_a_right_one_are_left_out(tmp_path: Path) -> None:
    labels = ["", "1", "b", "AB", "7", None]
    table = pa.table({"ctx": ["q"] * 6, "endings": [["x", "y"]] * 6, "label": labels})
    pq.write_table(table, tmp_path / "choices.parquet")
    assert read_items([str(tmp_path / "choices.parquet")]).right == (1, 1)
    structs = pa.table({"question": ["q"], "choices": [{"text": ["x"], "label": ["A"]}], "label": ["A"]})
    pq.write_table(structs, tmp_path / "structs.parquet")
    with pytest.raises(InputError, match="holds structs"):
        read_items([str(tmp_path / "structs.parquet")])


def test_every_accepted_answer_of_a_list_or_struct_counts(tmp_path: Path) -> None:
    (tmp_path / "mixed.jsonl").write_text(
        '{"question": "one?", "answers": ["a", "b"]}\n{"question": "two?", "answers": "c"}\n'
    )
    assert read_items([str(tmp_path / "mixed.jsonl")]).answers == (("a", "b"), ("c",))
    pq.write_table(pa.table({"question": ["q"], "answers": [{"text": ["a", "b"]}]}), tmp_path / "struct.parquet")
    assert read_items([str(tmp_path / "struct.parquet")]).answers == (("a", "b"),)


def test_a_test_without_a_usable_item_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"question": ["q"], "answer": [""]}), tmp_path / "none.parquet")
    with pytest.raises(InputError, match="no item to try"):
        read_items([str(tmp_path / "none.parquet")])


def test_data_that_an_arm_lacks_are_missed_before_anything_is_trained(chains: Trial, tmp_path: Path) -> None:
    lost = Arm("lost", (str(tmp_path / "nowhere.parquet"),))
    with pytest.raises(FoxingError, match="nowhere"):
        run_trial(replace(chains, arms=(chains.arms[0], lost)), tmp_path / "out")
    with pytest.raises(InputError, match="no answers to relabel"):
        run_trial(
            replace(chains, arms=(chains.arms[0], replace(chains.arms[0], name="n", relabel=0.5))), tmp_path / "o"
        )
    assert not (tmp_path / "out").exists() and not (tmp_path / "o").exists()


def test_tests_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    files = [str(write_questions(tmp_path / name, 4)) for name in ("a-2.parquet", "a.parquet", "b/a.parquet")]
    arms = Arm("one", (files[0],)), Arm("two", (files[0],), shuffle=True)
    job = replace(JOB, recipe=Recipe(block=32, batch=4, tokens=200))
    found = run_trial(Trial(arms, job, tuple(files), seeds=(1,), limit=1, max_tokens=2), tmp_path / "out")
    assert set(found.runs[0].means) == {"a-2", "a", "a-3"}


def test_bad_trials_are_refused_with_a_reason(tmp_path: Path) -> None:
    data = str(write_questions(tmp_path / "qa.parquet", 4))
    one, two = Arm("one", (data,)), Arm("two", (data,))
    with pytest.raises(ConfigError, match="two or more"):
        Trial((one,), JOB, (data,))
    with pytest.raises(ConfigError, match="no budget"):
        Trial((one, two), replace(JOB, recipe=Recipe()), (data,))
    with pytest.raises(ConfigError, match="Names are of"):
        Trial((one, Arm("../x", (data,))), JOB, (data,))
    for name in ("tokenizer", "trial.json"):
        with pytest.raises(ConfigError, match=f"arm {name}"):
            Trial((one, Arm(name, (data,))), JOB, (data,))
    with pytest.raises(ConfigError, match="max_tokens 0"):
        Trial((one, two), JOB, (data,), max_tokens=0)
    with pytest.raises(InputError, match="no column 'kind'"):
        run_trial(Trial((one, two), JOB, (data,), by="kind"), tmp_path / "out")
    for asked in (["--arm", "x"], ["--arm", "a=b", "--seeds", "many"]):
        result = CliRunner().invoke(
            foxing, ["trial", *asked, "--test", data, "-o", str(tmp_path / "o"), "--tokens", "1K"]
        )
        assert result.exit_code == 2, result.output


def write_gpt2(folder: Path) -> Path:
    """A model with 32 learnt positions, and no more."""
    from transformers import GPT2Config, GPT2LMHeadModel

    write_tokenizer(folder)
    config = GPT2Config(
        vocab_size=vocabulary_size(folder), n_positions=32, n_embd=16, n_layer=1, n_head=2, eos_token_id=3
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def test_a_prompt_that_leaves_a_base_no_room_is_found_before_anything_is_trained(tmp_path: Path) -> None:
    base = write_gpt2(tmp_path / "base")
    qa = write_questions(tmp_path / "qa.parquet", 8)
    long = pa.table({"question": ["the dog", " ".join(["the"] * 30)], "answer": ["hill", "hill"]})
    pq.write_table(long, tmp_path / "long.parquet")
    asked = ["trial", "--arm", f"a={qa}", "--arm", f"b={qa}", "--base", str(base), "--tokens", "1K", "--block", "32"]
    asked += ["--seeds", "1", "--max-tokens", "4", "--device", "cpu", "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [*FOXING, *asked, "--test", str(tmp_path / "long.parquet")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "test long: its longest prompt has" in done.stderr and "32 positions" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "a").exists()
    pq.write_table(long.slice(0, 1), tmp_path / "short.parquet")
    fits = CliRunner().invoke(foxing, [*asked, "--test", str(tmp_path / "short.parquet")])
    assert fits.exception is None, fits.output
    assert json.loads((tmp_path / "out" / "trial.json").read_text())["runs"][0]["tokens"] == 1000


def test_refusals_and_answers_of_each_category_belong_together(tmp_path: Path) -> None:
    table = pq.read_table(write_questions(tmp_path / "qa.parquet", 4))
    pq.write_table(
        table.append_column("category", pa.array(["Known", "Known", "Unknown", "Unknown"])), tmp_path / "by.parquet"
    )
    items = read_items([str(tmp_path / "by.parquet")], by="category")
    metrics = {
        "exact": np.array([1.0, 0, 1, 0]),
        "f1": np.array([1.0, 0.5, 1, 0]),
        "refused": np.array([0.0, 0, 0, 1]),
        "distinct_2": np.array([0.7]),
    }
    found = summed_up(metrics, items)
    assert (found["exact:Known"], found["f1:Known"], found["coverage:Known"]) == (0.5, 0.75, 1.0)
    assert (found["coverage:Unknown"], found["exact_on_answered:Unknown"]) == (0.5, 1.0)
    assert (found["exact_times_coverage:Unknown"], found["distinct_2"]) == (0.5, 0.7)
    assert "distinct_2:Known" not in found


def test_what_models_write_is_measured_for_how_varied_it_is_and_not_contrasted(tmp_path: Path) -> None:
    asked = [f"{word} {at}?" for at, word in enumerate(WORDS * 4)]
    varied = [" ".join((WORDS * 2)[at % len(WORDS) :][:5]) for at in range(len(asked))]
    for name, answers in (("same", ["the dog ran over hill"] * len(asked)), ("varied", varied)):
        pq.write_table(pa.table({"question": asked, "answer": answers}), tmp_path / f"{name}.parquet")
    arms = tuple(Arm(name, (str(tmp_path / f"{name}.parquet"),)) for name in ("same", "varied"))
    trial = Trial(arms, JOB, (str(tmp_path / "varied.parquet"),), seeds=(1,), max_tokens=24)
    result = run_trial(trial, tmp_path / "out")
    same, other = (result.mean(arm, "varied", "distinct_2")[0] for arm in ("same", "varied"))
    assert 0 < same < other / 2
    assert not {each.metric for each in result.contrasts} & set(INDICES)
