"""Sections: splits and stages as ranges, files of even size, order within blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula.sections import Section, Sections, Shape, cut, divide, even_breaks
from detectors.errors import ConfigError


def parts(train: int, validation: int) -> dict[str, int]:
    return {"train": train, "validation": validation}


@given(st.integers(0, 300), st.integers(0, 50), st.integers(2, 12))
def test_row_i_of_n_lies_in_stage_i_times_stages_over_n(train: int, validation: int, stages: int) -> None:
    sections = divide(parts(train, validation), stages)
    assert [a.stop == b.start for a, b in itertools.pairwise(sections)] == [True] * (len(sections) - 1)
    assert sections[-1].stop == train + validation
    for section in sections:
        for row in range(section.start, section.stop):
            stage = "validation" if row >= train else f"train/stage-{row * stages // train:02d}"
            assert section.name == stage


def test_undivided_output_is_one_section_without_a_name() -> None:
    assert divide({"": 5}, 0) == (Section("", 0, 5),)
    assert divide({"train": 5, "validation": 0}, 0) == (Section("train", 0, 5),)
    assert divide({"": 0}, 10) == (Section("", 0, 0),)


BLOCKS = st.integers(0, 70)


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 60), BLOCKS, st.integers(0, 2**64 - 1))
def test_shuffling_permutes_within_blocks_of_a_section(train: int, validation: int, block: int, seed: int) -> None:
    sections = Sections(divide(parts(train, validation), 0), block, seed)
    positions = np.arange(train + validation)
    final = sections.final(positions)
    assert sorted(final.tolist()) == positions.tolist()
    for section in sections.members:
        begins = range(section.start, section.stop, max(block, 1))
        for begin in begins if block > 1 else ():
            end = min(section.stop, begin + block)
            assert sorted(final[begin:end].tolist()) == list(range(begin, end))
    backwards = sections.final(positions[::-1].copy())
    assert backwards.tolist() == final[::-1].tolist(), "a row's place does not depend on what is asked for with it"


def test_shuffled_blocks_look_random() -> None:
    """Chi-square of where 8 positions of 4,000 blocks go, and of pairs that keep their order."""
    block, blocks = 8, 4000
    sections = Sections(divide({"": block * blocks}, 0), block, 3)
    places = sections.final(np.arange(block * blocks)).reshape(blocks, block) % block
    for place in range(block):
        found = np.bincount(places[:, place], minlength=block)
        expected = blocks / block
        assert ((found - expected) ** 2 / expected).sum() < 33  # 7 degrees of freedom, p = 2e-5
    for one, other in itertools.combinations(range(block), 2):
        kept = int((places[:, one] < places[:, other]).sum())
        assert abs(kept - blocks / 2) < 4.5 * (blocks**0.5) / 2


def test_another_seed_shuffles_otherwise() -> None:
    one, two = (Sections(divide({"": 500}, 0), 100, seed).final(np.arange(500)).tolist() for seed in (1, 2))
    assert one != two


@settings(deadline=None)
@given(
    st.integers(0, 400),
    st.integers(0, 60),
    st.sampled_from([0, 2, 5, 10]),
    st.integers(1, 90),
    st.lists(st.integers(0, 460), max_size=5),
)
def test_files_cover_the_output_and_are_even(
    train: int, validation: int, stages: int, most: int, breaks: list[int]
) -> None:
    sections = divide(parts(train, validation), stages)
    spans = cut("data", sections, breaks, most) if train + validation else ()
    assert [span.start for span in spans] == [0, *(span.stop for span in spans)][: len(spans)]
    assert len({span.path for span in spans}) == len(spans)
    if spans:
        assert spans[-1].stop == train + validation
    for section in sections:
        inside = [span for span in spans if section.start <= span.start < section.stop]
        assert not inside or inside[-1].stop == section.stop
        sizes = [span.stop - span.start for span in inside]
        assert all(0 < size <= most for size in sizes)
        if not breaks and sizes:
            assert max(sizes) - min(sizes) <= 1


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=200), st.integers(1, 400))
def test_files_even_in_bytes_differ_by_no_more_than_rows(sizes: list[int], most: int) -> None:
    lengths = np.array(sizes)
    sections = divide({"": len(sizes)}, 0)
    edges = sorted({0, len(sizes), *even_breaks(sections, lengths, most)})
    files = [int(lengths[begin:end].sum()) for begin, end in itertools.pairwise(edges)]
    number = -(-int(lengths.sum()) // most)
    assert len(files) <= number
    assert max(files) <= lengths.sum() / number + lengths.max()


@pytest.mark.parametrize("fields", [{"split": 0.0}, {"split": 1.0}, {"stages": 1}, {"stages": 5000}, {"block": -1}])
def test_shapes_that_mean_nothing_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Shape(**fields)  # type: ignore[arg-type]
