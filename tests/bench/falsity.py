"""How well falsity is told: `python -m tests.bench.falsity --data ../shared/data -o results/falsity.json`.

Against a reference: of each question with several right answers, one at random is in the reference and the others are
rows that are right (an alias, or another right answer, that the reference has not got); right answers that the
reference has are rows again in other words around them. Rows that are wrong: the false answers of `falsity.parquet`,
and for question sets wrong answers of the same relation as `foxing falsify` draws them. Statements: sentences of one
template that say something else than a true one. Contradictions: question sets as they are, whose questions often have
several right answers, and the same with planted pairs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from audit.config import Config, ScanConfig
from audit.scan_run import scan
from curricula.detector_card import auroc, wilson
from curricula.falsify import Falsifying, falsify
from detectors.documents import Documents
from detectors.falsity import Falsity
from detectors.protocols import Device
from tests.bench.machine import machine

THRESHOLDS = (0.5, 0.7, 0.9, 1.0)
AROUND = ("{}", "{}.", "The answer is {}.", "It is {}, as far as I know.", "{upper}")
TEMPLATES = {
    "truefalse_cities": r" is a city in ",
    "truefalse_capitals": r" is (?:the capital of|a city in) ",
    "truefalse_companies": r" has headquarters in ",
    "truefalse_inventions": r" (?:invented|lived in) ",
    "truefalse_elements": r" has the (?:symbol|atomic number of|atomic number) ",
    "truefalse_animals": r" has a habitat of ",
    "geometry_sp_en_trans": r" means ",
}
Floats = npt.NDArray[np.float64]


def shown(hits: int, n: int) -> dict[str, Any]:
    """A share with its 95 % interval (Wilson)."""
    low, high = wilson(hits, n) if n else (0.0, 1.0)
    return {
        "hits": hits,
        "n": n,
        "share": round(hits / n, 4) if n else None,
        "low": round(low, 4),
        "high": round(high, 4),
    }


def interval(value: float, right: int, wrong: int) -> list[float]:
    """95 % interval of an AUROC (Hanley and McNeil 1982)."""
    one, two = value / (2 - value), 2 * value**2 / (1 + value)
    spread = value * (1 - value) + (wrong - 1) * (one - value**2) + (right - 1) * (two - value**2)
    half = 1.96 * (max(spread, 0.0) / (right * wrong)) ** 0.5
    return [round(max(0.0, value - half), 4), round(min(1.0, value + half), 4)]


def separation(right: Floats, wrong: Floats) -> dict[str, Any]:
    """AUROC of the scores, and both rates at each threshold."""
    right, wrong = right[~np.isnan(right)], wrong[~np.isnan(wrong)]
    found: dict[str, Any] = {"n_right": len(right), "n_wrong": len(wrong)}
    if len(right) and len(wrong):
        label = np.repeat([0, 1], [len(right), len(wrong)])
        found["auroc"] = round(auroc(label, np.concatenate([right, wrong])), 4)
        found["auroc_95"] = interval(found["auroc"], len(right), len(wrong))
    for threshold in THRESHOLDS:
        found[f"flagged_right_at_{threshold}"] = shown(int((right >= threshold).sum()), len(right))
        found[f"flagged_wrong_at_{threshold}"] = shown(int((wrong >= threshold).sum()), len(wrong))
    return found


class Bench:
    """One run, in a folder of its own."""

    def __init__(self, data: Path, work: Path, seed: int) -> None:
        self.tasks, self.work, self.rng = data / "tasks", work, np.random.default_rng(seed)

    def scores(self, reference: pl.DataFrame, rows: pl.DataFrame) -> Floats:
        """Scores of rows (question, answer), nan where there is none; a null question is plain text."""
        path = self.work / "reference.parquet"
        reference.write_parquet(path)
        measure = Falsity(reference=str(path)).pinned().load(Device.CPU)
        found = []
        for part in rows.iter_slices(4096):
            answers = part["answer"].to_list()
            whole = [
                a if q is None else f"{q}\n\n{a}" for q, a in zip(part["question"].to_list(), answers, strict=True)
            ]
            columns = {"text": pa.array([t.encode() for t in whole], pa.large_binary())}
            if part["question"].null_count() < part.height:
                columns["response"] = pa.array([a.encode() for a in answers], pa.large_binary())
            batch = measure(Documents(pa.record_batch(columns)))
            found.append(np.asarray(batch.column("score").cast(pa.float64()).fill_null(np.nan)))
        return np.concatenate(found or [np.zeros(0)])

    def held_out(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Reference with one answer a question, rows with the others, and rows with the same in other words."""
        chosen = [int(self.rng.integers(len(answers))) for answers in frame["answers"].to_list()]
        frame = frame.with_columns(kept=pl.Series(chosen), row=pl.int_range(pl.len()))
        reference = frame.with_columns(answers=pl.concat_list(pl.col("answers").list.get(pl.col("kept"))))
        others = (
            frame.explode("answers")
            .with_columns(place=pl.int_range(pl.len()).over("row"))
            .filter(pl.col("place") != pl.col("kept"))
            .select("question", "source", answer="answers")
        )
        around = self.rng.integers(len(AROUND), size=frame.height).tolist()
        kept = reference["answers"].list.first().to_list()
        said = [AROUND[k].format(a, upper=a.upper()) for k, a in zip(around, kept, strict=True)]
        again = frame.select("question", "source").with_columns(answer=pl.Series(said, dtype=pl.String))
        return reference.drop("kept", "row"), others, again

    def against_reference(self) -> dict[str, Any]:
        """Sets with false answers of their own."""
        frame = pl.read_parquet(self.tasks / "falsity.parquet").rename({"true_answers": "answers"})
        wrong = frame.explode("false_answers").select("question", "source", answer="false_answers").drop_nulls()
        return self._by_source(frame, wrong)

    def question_sets(self) -> dict[str, Any]:
        """Sets whose wrong answers are drawn from the same relation."""
        wrong = self.falsified.select("question", "source", answer="foxing_wrong").drop_nulls()
        return self._by_source(self._unique(), wrong)

    def _unique(self) -> pl.DataFrame:
        """Questions that stand once."""
        return pl.read_parquet(self.tasks / "qa.parquet").unique("question", keep="none", maintain_order=True)

    @cached_property
    def falsified(self) -> pl.DataFrame:
        """Those, with a wrong answer each."""
        path = self.work / "qa" / "qa.parquet"
        path.parent.mkdir()
        self._unique().write_parquet(path)
        falsify([str(path)], self.work / "false", Falsifying(ratio=1.0))
        return pl.read_parquet(self.work / "false" / "data" / "*.parquet")

    def _by_source(self, frame: pl.DataFrame, wrong: pl.DataFrame) -> dict[str, Any]:
        found = {}
        for (source,), part in frame.group_by("source", maintain_order=True):
            reference, others, again = self.held_out(part.filter(pl.col("answers").list.len() > 0))
            bad = wrong.filter(pl.col("source") == source)
            scores = {name: self.scores(reference, rows) for name, rows in (("o", others), ("a", again), ("w", bad))}
            both = np.concatenate([scores["o"], scores["a"]])
            found[str(source)] = {
                "questions": reference.height,
                "other_right_answers": separation(scores["o"], scores["w"]),
                "same_answer_in_other_words": separation(scores["a"], scores["w"]),
                "unjudged": shown(int(np.isnan(both).sum() + np.isnan(scores["w"]).sum()), len(both) + len(bad)),
            }
            if "false_answers" in reference.columns:
                bare = reference.drop("false_answers")
                known = self.scores(bare, bad)
                half = reference.with_columns(pl.col("false_answers").list.slice(1))
                first = part.select("question", "source", answer=pl.col("false_answers").list.first()).drop_nulls()
                found[str(source)]["reference_without_false_answers"] = {
                    "same_answer_in_other_words": separation(self.scores(bare, again), known),
                    "other_right_answers": separation(self.scores(bare, others), known),
                }
                found[str(source)]["reference_with_other_false_answers"] = {
                    "other_right_answers": separation(self.scores(half, others), self.scores(half, first)),
                }
        return found

    def statements(self) -> dict[str, Any]:
        """Sentences of a template: the beginnings of true ones are questions, and the rest their answers."""
        frame = pl.read_parquet(self.tasks / "statements.parquet")
        found = {}
        for source, template in TEMPLATES.items():
            part = frame.filter((pl.col("source") == source) & pl.col("statement").str.contains(template))
            pattern = f"^(.*{template})(.*?)\\.?$"
            part = part.with_columns(
                question=pl.col("statement").str.extract(pattern, 1), rest=pl.col("statement").str.extract(pattern, 2)
            ).drop_nulls("rest")
            true = part.filter("label")
            reference = true.select("question", answers=pl.concat_list("rest"))
            rows = part.select(question=pl.lit(None, pl.String), answer="statement")
            scores = self.scores(reference, rows)
            right = np.array(part["label"].to_list(), bool)
            found[source] = {
                "true_statements": int(right.sum()),
                "false_statements": int((~right).sum()),
                "false_joined": shown(int((~np.isnan(scores[~right])).sum()), int((~right).sum())),
                "separation": separation(scores[right], scores[~right]),
                "note": "true rows are in the reference themselves: what they show is the join, not aliases",
            }
        return found

    def contradictions(self, planted: int) -> dict[str, Any]:
        """Rows in contradiction in question sets as they are, and among planted pairs."""
        frame = pl.read_parquet(self.tasks / "qa.parquet").select("question", "answers", "source")
        natural = self._contradicting(frame, "natural")
        unique = frame.unique("question", keep="none", maintain_order=True)
        made = self.falsified.filter(pl.col("foxing_wrong").is_not_null())
        chosen = made.sample(planted, seed=int(self.rng.integers(2**31)))
        several = unique.filter(pl.col("answers").list.len() > 1).sample(planted, seed=1)
        spelled = pl.col("question").str.to_uppercase().str.replace(r"\?$", " ?")
        pairs = {
            "wrong": chosen.select(spelled, answers=pl.concat_list("foxing_wrong"), source="source"),
            "same": unique.sample(planted, seed=2).select(spelled, pl.col("answers").list.head(1), "source"),
            "alias": several.select(spelled, pl.col("answers").list.tail(1), "source"),
        }
        found: dict[str, Any] = {"as_they_are": natural}
        for name, added in pairs.items():
            base = unique.with_columns(answers=pl.col("answers").list.head(1)) if name == "alias" else unique
            flagged = self._flags(pl.concat([base, added.select(base.columns)]), name)
            found[f"planted_{name}"] = shown(int(flagged[base.height :].sum()), added.height)
        return found

    def _contradicting(self, frame: pl.DataFrame, name: str) -> dict[str, Any]:
        flagged = frame.with_columns(flag=pl.Series(self._flags(frame, name)))
        rows = flagged.group_by("source").agg(pl.len(), pl.col("flag").sum(), pl.col("question").is_duplicated().sum())
        return {
            row["source"]: {**shown(row["flag"], row["len"]), "rows_of_repeated_questions": row["question"]}
            for row in rows.sort("source").iter_rows(named=True)
        }

    def _flags(self, frame: pl.DataFrame, name: str) -> npt.NDArray[np.bool_]:
        folder = self.work / f"corpus-{name}"
        folder.mkdir()
        frame.select("question", answer="answers").write_parquet(folder / "a.parquet")
        config = Config(scan=ScanConfig(signals=("falsity",), stages=("contradictions",), workers=1, sketches=False))
        findings = scan([str(folder)], self.work / f"audit-{name}", config).findings
        parts = pl.concat(findings.parts({"contradictions": None}))
        return (parts["contradictions"].struct.field("share").fill_null(0.0) >= 0.5).to_numpy()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all of it and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--planted", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=17)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(asked.data, Path(work), asked.seed)
        found = {
            "machine": machine(),
            "seed": asked.seed,
            "against_reference": bench.against_reference(),
            "question_sets": bench.question_sets(),
            "statements": bench.statements(),
            "contradictions": bench.contradictions(asked.planted),
        }
    asked.output.write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
