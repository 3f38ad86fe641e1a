"""Diversity beside a reference: quantiles of histograms, mixed by language."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from audit.findings_folder import Findings
from audit.report.blocks import StripPlot
from audit.report.content import Absent
from audit.report.content_text import Variety
from audit.report.strips import strips
from audit.report.variety import LEVELS, MEASURES, Histograms, Reference, reference_of, variety_section


def part(values: list[float | None], language: str = "en", source: str = "a") -> pl.DataFrame:
    """A part whose documents have one value for every measure."""
    return pl.DataFrame(
        {
            "source": [source] * len(values),
            "language": [{"language": language}] * len(values),
            "diversity": [dict.fromkeys(MEASURES, value) for value in values],
        },
        {
            "source": pl.String,
            "language": pl.Struct({"language": pl.String}),
            "diversity": pl.Struct(dict.fromkeys(MEASURES, pl.Float32)),
        },
    )


def section(histograms: Histograms, reference: Reference | None = None) -> Variety:
    found = variety_section(histograms, reference or reference_of(None), None)
    assert isinstance(found, Variety)
    return found


@given(st.lists(st.floats(0.3, 0.95), min_size=5, max_size=200), st.integers(0, 200))
def test_quantiles_are_those_of_the_values_however_parts_are_cut(values: list[float], cut: int) -> None:
    histograms = Histograms()
    for piece in (values[:cut], values[cut:]):
        if piece:
            histograms.add(part(list(piece)))
    mattr = section(histograms).measures[0]
    width = 2 / 160
    ordered = np.quantile(values, LEVELS, method="inverted_cdf"), np.quantile(values, LEVELS, method="higher")
    assert mattr.corpus is not None and mattr.n == len(values)
    assert all(
        low - width <= value <= high + width
        for low, value, high in zip(ordered[0], mattr.corpus, ordered[1], strict=True)
    )


def test_documents_like_the_reference_are_beyond_it_as_rarely_as_it_is_itself() -> None:
    histograms = Histograms()
    histograms.languages = {name: counts.copy() for name, counts in reference_of(None).languages.items()}
    for measure in section(histograms).measures:
        assert measure.corpus == measure.reference
        assert measure.below is not None and 0.03 < measure.below < 0.07


def test_the_reference_is_mixed_in_the_proportions_of_the_corpus() -> None:
    reference = reference_of(None)
    histograms = Histograms()
    histograms.add(part([0.8] * 30, "en"))
    histograms.add(part([0.8] * 10, "zh"))
    mixed = reference.mixed(histograms.languages)
    english, chinese = (reference.languages[name][0] / reference.languages[name][0].sum() for name in ("en", "zh"))
    assert np.allclose(mixed[0] / mixed[0].sum(), 0.75 * english + 0.25 * chinese)


def test_a_language_without_a_reference_is_compared_with_nothing() -> None:
    histograms = Histograms()
    histograms.add(part([0.8] * 30, "xx"))
    found = section(histograms)
    assert all(measure.reference is None and measure.below is None for measure in found.measures)
    assert found.left_out == 30 and found.measures[0].n == 30


def test_documents_of_such_a_language_do_not_count_as_unlike_the_reference_beside_others() -> None:
    english, both = Histograms(), Histograms()
    for histograms in (english, both):
        histograms.add(part([0.8] * 30, "en"))
    both.add(part([0.1] * 70, "xx"))
    assert section(both).measures[0].below == section(english).measures[0].below == 0
    assert (section(both).left_out, section(both).measures[0].n, section(english).left_out) == (70, 30, 0)


def test_more_sources_than_are_kept_cost_no_more_memory_and_change_no_total() -> None:
    many = pl.concat([part([0.8], source=f"s{at}") for at in range(2)] * 3)
    many = pl.concat([many, part([0.4] * 9000).with_columns(source=pl.int_range(9000).cast(pl.String))])
    histograms = Histograms()
    histograms.add(many)
    assert len(histograms.sources) == 4096 and histograms.total[0].sum() == 9006
    histograms.add(part([0.9] * 5, source="1"))
    assert histograms.sources["1"][0].sum() == 6 and len(histograms.sources) == 4096


def test_a_measure_that_neither_side_has_is_drawn_empty() -> None:
    histograms = Histograms()
    without = part([0.8] * 9, "xx").with_columns(
        pl.col("diversity").struct.with_fields(pl.lit(None, pl.Float32).alias("sentence_length_std"))
    )
    histograms.add(without)
    names, rows = (
        ("a", "b"),
        [(one.title, one.corpus or (), one.reference or (), "") for one in section(histograms).measures],
    )
    assert rows[-1][1:3] == ((), ()) and strips(StripPlot(names, tuple(rows)), 640.0)[1]


def test_sources_keep_their_medians() -> None:
    histograms = Histograms()
    histograms.add(part([0.4] * 9, source="low"))
    histograms.add(part([0.9] * 20, source="high"))
    medians = section(histograms).measures[0].sources
    assert list(medians) == ["high", "low"] and abs(medians["low"] - 0.4) < 0.01 and abs(medians["high"] - 0.9) < 0.01


def test_without_a_measured_document_the_section_says_why() -> None:
    histograms = Histograms()
    histograms.add(part([None, None]))
    assert isinstance(variety_section(histograms, reference_of(None), None), Absent)


def test_the_documents_of_another_scan_are_a_reference_whatever_else_it_measured(hostile_scan: Findings) -> None:
    histograms = Histograms()
    for each in hostile_scan.parts():
        histograms.add(each)
    found = reference_of(hostile_scan)
    assert histograms.total.any() and np.array_equal(found.languages[""], histograms.total)
    assert all(measure.below is not None for measure in section(histograms, found).measures)
