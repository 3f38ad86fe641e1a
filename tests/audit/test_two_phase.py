from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.two_phase import Labels, is_random_sample, two_phase
from detectors.errors import InputError

BINS = 4
DOCUMENTS = np.array([4000, 3000, 2000, 1000])
GOOD = np.array([0.02, 0.1, 0.5, 0.95])


def sample(n: int, machine: np.ndarray, seed: int) -> np.ndarray:
    """int64[2, BINS]: a random sample of n documents, `machine` being the share of machine text in each bin."""
    random = np.random.default_rng(seed)
    drawn = random.multinomial(n, DOCUMENTS / DOCUMENTS.sum())
    written = random.binomial(drawn, machine)
    return np.stack([drawn - written, written])


def share_of(machine: np.ndarray) -> float:
    return float(DOCUMENTS @ machine / DOCUMENTS.sum())


@pytest.mark.parametrize("probability", [GOOD, GOOD[::-1], np.full(BINS, 0.3)], ids=["good", "reversed", "useless"])
@pytest.mark.parametrize("machine", [GOOD, np.array([0.0, 0.02, 0.1, 0.3]), np.array([0.9, 0.9, 0.95, 1.0])])
def test_labels_are_right_whatever_the_scores_are_worth(machine: np.ndarray, probability: np.ndarray) -> None:
    truth, held, errors = share_of(machine), 0, []
    for seed in range(300):
        share, interval = two_phase(DOCUMENTS, sample(300, machine, seed), probability)
        held += interval.low <= truth <= interval.high
        errors.append(share - truth)
    assert held >= 276
    assert abs(np.mean(errors)) < 0.006


def test_good_scores_narrow_the_interval_and_useless_ones_leave_it() -> None:
    labelled = sample(400, GOOD, 3)
    widths = {
        name: (interval := two_phase(DOCUMENTS, labelled, probability)[1]).high - interval.low
        for name, probability in (("good", GOOD), ("useless", np.full(BINS, 0.3)))
    }
    assert widths["good"] < 0.75 * widths["useless"]


def test_without_use_of_scores_it_is_the_share_of_labels() -> None:
    labelled = np.array([[40, 20, 6, 2], [2, 5, 9, 16]])
    share, interval = two_phase(DOCUMENTS, labelled, np.full(BINS, 0.5))
    assert share == pytest.approx(0.32) and interval.low == pytest.approx(0.237, abs=0.002)


def test_few_labels_of_one_kind_leave_the_scores_out() -> None:
    labelled = np.array([[100, 50, 20, 10], [0, 0, 2, 2]])
    share, interval = two_phase(DOCUMENTS, labelled, GOOD)
    assert share == pytest.approx(4 / 184) and interval.low < share < interval.high


def test_no_machine_text_in_the_sample_leaves_the_interval_open_above() -> None:
    share, interval = two_phase(DOCUMENTS, np.array([[40, 30, 20, 10], [0, 0, 0, 0]]), GOOD)
    assert (share, interval.low) == (0, 0) and interval.high == pytest.approx(0.037, abs=0.001)


@given(st.lists(st.integers(0, 40), min_size=8, max_size=8).filter(lambda counts: sum(counts) > 1))
def test_an_estimate_lies_in_its_interval_and_in_bounds(counts: list[int]) -> None:
    share, interval = two_phase(DOCUMENTS, np.array(counts).reshape(2, 4), GOOD)
    assert 0 <= interval.low <= share + 1e-9 and share - 1e-9 <= interval.high <= 1


def test_random_samples_pass_and_the_worst_rows_do_not() -> None:
    passed = sum(is_random_sample(DOCUMENTS, sample(200, GOOD, seed)) for seed in range(500))
    assert passed >= 495
    assert not is_random_sample(DOCUMENTS, np.array([[0, 0, 0, 20], [0, 0, 0, 80]]))


def write(folder: Path, name: str, columns: dict[str, list[object]]) -> Path:
    path, frame = folder / name, pl.DataFrame(columns)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_ndjson(path)
    return path


@pytest.mark.parametrize("name", ["labels.parquet", "labels.csv", "labels.jsonl"])
def test_labels_find_their_rows(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, {"row": [3, 1, 0, 2], "shard": ["a", "a", "b", "b"], "label": [1, 0, 1, None]})
    labels = Labels.read(path)
    part = pl.DataFrame({"shard": ["a"] * 4 + ["b"] * 3, "row": pl.Series([0, 1, 2, 3, 0, 1, 2], dtype=pl.Int64)})
    assert labels.of(part).to_list() == [None, False, None, True, True, None, None]


@pytest.mark.parametrize(
    ("name", "columns", "says"),
    [
        ("l.csv", {"shard": ["a"], "row": [1]}, "no column 'label' "),
        ("l.csv", {"shard": ["a"], "row": [1], "label": [2]}, "label 2 is neither 0 "),
        ("l.csv", {"shard": ["a"], "row": ["x"], "label": [1]}, "whole numbers"),
        ("l.csv", {"shard": ["a", "a"], "row": [1, 1], "label": [1, 0]}, "more than one label"),
    ],
)
def test_labels_that_cannot_be_used_say_why(
    tmp_path: Path, name: str, columns: dict[str, list[object]], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        Labels.read(write(tmp_path, name, columns))


def test_a_labels_file_that_is_absent_or_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels\.txt: is none of"):
        Labels.read(tmp_path / "labels.txt")
    with pytest.raises(InputError, match=r"labels\.csv: cannot be read"):
        Labels.read(tmp_path / "labels.csv")
