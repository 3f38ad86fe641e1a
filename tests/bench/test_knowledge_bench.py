"""The figures of the knowledge bench, on findings made by hand."""

from __future__ import annotations

import numpy as np
import polars as pl

from tests.bench.knowledge import _agreement, _told


def findings(p: list[float], category: str) -> pl.DataFrame:
    n = len(p)
    return pl.DataFrame(
        {
            "category": [category] * n,
            "corrected": [category] * n,
            "p_greedy": [0.0] * n,
            "p_sampled": p,
        }
    )


def test_hits_drawn_as_expected_have_standard_scores_and_others_do_not() -> None:
    p = np.full(400, 0.1)
    drawn = np.random.default_rng(5).binomial(160, p) / 160
    fair = _agreement(findings(p.tolist(), "WeaklyKnown"), findings(drawn.tolist(), "WeaklyKnown"))
    assert abs(fair["z"]["mean"]) < 0.2 and abs(fair["z"]["sd"] - 1) < 0.15
    assert (
        fair["category_equal"]["share"] == 1 and fair["confusion_exact_to_sampled"]["WeaklyKnown"]["WeaklyKnown"] == 400
    )
    biased = _agreement(findings(p.tolist(), "Unknown"), findings((drawn + 0.05).tolist(), "WeaklyKnown"))
    assert biased["z"]["mean"] > 1.5 and biased["category_equal"]["share"] == 0


def test_false_answers_are_told_by_what_the_model_finds_probable() -> None:
    right, false = 6, 6
    frame = pl.DataFrame(
        {
            "log_p": [-1.0] * right + [-5.0] * false,
            "others_log_p": [None] * (right + false),
            "own_log_p": [-1.0] * (right + false),
            "own_differs": [0.0] * right + [1.0] * false,
            "own_category": ["HighlyKnown"] * (right + false),
            "own_sampled": [0.95] * right + [0.6] * 3 + [0.95] * 3,
        },
        schema_overrides={"others_log_p": pl.Float32},
    )
    found = _told(frame, right)
    assert found["minus_log_p"]["auroc"] == found["own_differs"]["auroc"] == 1.0
    assert found["others_minus_answer_log_p"]["n"] == 0
    assert [found[f"hit_at_own_sampled_{least}"]["false"]["hits"] for least in (0.5, 0.9)] == [6, 3]
    assert found["hit_at_own_sampled_0.5"]["right"]["hits"] == 0
