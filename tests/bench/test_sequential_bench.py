from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.bench import sequential as bench


@pytest.mark.parametrize(
    "corpus", [bench.Corpus(0.3, 0.05, 0.05, units=400), bench.Corpus(0.0, 0.05, 0.0, units=4_000)]
)
def test_a_corpus_far_from_its_budget_is_judged_rightly(corpus: bench.Corpus) -> None:
    verdict, units, wrong = bench.judged(corpus, np.random.default_rng(1), 0.1)
    assert verdict == ("over" if corpus.share else "within") and not wrong and units < 200


def test_a_series_with_a_step_raises_an_alarm_after_it() -> None:
    series = bench.Audits(0.02, 0.01, 30, step=0.2)
    assert bench.first_alarm(series, np.random.default_rng(1), 2, 0.05) == 2


def test_the_bench_stores_what_its_document_describes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "CORPORA", bench.CORPORA[-1:])
    monkeypatch.setattr(bench, "SERIES", bench.SERIES[:1])
    bench.main(["--corpora", "2", "--series", "1", "--looks", "1", "--results", str(tmp_path)])
    (path,) = tmp_path.glob("sequential-*.json")
    found = json.loads(path.read_text())
    document = (Path(bench.__file__).parents[2] / "docs" / "bench.md").read_text("utf-8")
    assert found["schema"] == "foxing-bench-sequential"
    for name in ("samples", "drift"):
        assert all(f"`{key}`" in document or f"`{key}`:" in document for key in found[name][0])
