"""What a model knows, by both estimators: `python -m tests.bench.knowledge --data ../shared/data --model M -o FILE`.

Shares of the categories over relations of `qa.parquet`; the exact estimator beside the sampled one on the same
questions; questions a CPU second of both, and of `generate` of transformers called as the paper's estimator would call
it (one greedy answer and 16 samples a prompt, a batch a question); and how well the model tells false answers of
`falsity.parquet` from right ones. Exemplars come from questions that are not asked. Each part is written when it is
done, so that a run that is stopped leaves what it has.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curricula.detector_card import auroc
from detectors.exemplars import Fact, Pool, prompt
from detectors.knowledge import Knowledge
from detectors.probing import Question, spellings
from detectors.prompting import Exemplars
from detectors.protocols import Device
from detectors.slick import SAMPLES, Category
from tests.bench.falsity import interval, shown
from tests.bench.machine import machine

RELATIONS = ("P17", "P36", "P40", "P69", "P131", "P264", "P495", "P740", "P800", "P106", "P175", "P407")
RESERVE = 128
LABELS = tuple(category.label for category in Category)
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Timed:
    """Findings of questions, and the CPU seconds that they took."""

    frame: pl.DataFrame
    seconds: float


class Bench:
    """One model, and what came of it so far."""

    def __init__(self, data: Path, model: str, output: Path, seed: int, minutes: float) -> None:
        self.tasks, self.model, self.output, self.seed = data / "tasks", model, output, seed
        self.end = time.monotonic() + 60 * minutes
        self.frames: dict[str, pl.DataFrame] = {}
        self.seconds: dict[str, float] = {}
        self.found: dict[str, Any] = {"machine": machine(), "model": Path(model).name, "seed": seed}

    def write(self, name: str, part: Any) -> None:
        """Put a part beside the others."""
        self.found[name] = part
        self.found["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
        self.output.write_text(json.dumps(self.found, indent=1), "utf-8")

    def split(self, questions: int) -> tuple[dict[str, list[Question]], Pool]:
        """Questions of each relation, and a pool of others."""
        frame = pl.read_parquet(self.tasks / "qa.parquet").filter(pl.col("source") == "entity_questions")
        asked, facts = {}, []
        for relation in RELATIONS:
            part = frame.filter(pl.col("relation") == relation).sample(questions + RESERVE, seed=self.seed)
            rows = list(part.iter_rows(named=True))
            asked[relation] = [Question(row["question"], tuple(row["answers"]), relation) for row in rows[:questions]]
            facts += [Fact(relation, row["question"], row["answers"][0]) for row in rows[questions:]]
        return asked, Pool.of(facts)

    def probe(self, pool: Pool, estimator: str) -> Any:
        """The signal's own probe over a pool."""
        settings = Knowledge(model=self.model, estimator=estimator)
        return settings._probe(Exemplars(pool, settings.sets, settings.shots, settings.seed), Device.CPU)

    def timed(self, probe: Any, questions: Sequence[Question]) -> Timed:
        """Probe questions."""
        began = time.process_time()
        found = probe.measure(questions)
        return Timed(pl.DataFrame(pl.from_arrow(found)), time.process_time() - began)

    def shares(self, asked: dict[str, list[Question]], probe: Any, upto: int) -> dict[str, pl.DataFrame]:
        """Category shares of the first `upto` questions of each relation, exact estimator, as far as time allows."""
        for relation, questions in asked.items():
            before = self.frames[relation].height if relation in self.frames else 0
            if before >= min(upto, len(questions)) or time.monotonic() > self.end:
                continue
            one = self.timed(probe, questions[before:upto])
            self.frames[relation] = pl.concat([*([self.frames[relation]] if before else []), one.frame])
            self.seconds[relation] = self.seconds.get(relation, 0.0) + one.seconds
            whole, seconds = pl.concat(self.frames.values()), sum(self.seconds.values())
            relations = {
                name: {
                    **_shares(frame),
                    "distinct_first_answers": len({question.answers[0] for question in asked[name][: frame.height]}),
                    "questions_a_cpu_s": round(frame.height / self.seconds[name], 3),
                }
                for name, frame in self.frames.items()
            }
            rate = round(whole.height / seconds, 3)
            self.write(
                "exact", {"n": whole.height, "questions_a_cpu_s": rate, "all": _shares(whole), "relations": relations}
            )
        return self.frames

    def agreement(
        self, asked: dict[str, list[Question]], exact: dict[str, pl.DataFrame], probe: Any, each: int
    ) -> None:
        """The sampled estimator on some questions of each relation."""
        frames, seconds, pairs = [], 0.0, []
        for relation, frame in exact.items():
            one = self.timed(probe, asked[relation][:each])
            frames.append(one.frame)
            pairs.append(frame[:each])
            seconds += one.seconds
            drawn, expected = pl.concat(frames), pl.concat(pairs)
            rate = round(drawn.height / seconds, 4)
            self.write("sampled", {"n": drawn.height, "questions_a_cpu_s": rate, **_agreement(expected, drawn)})

    def plain(self, asked: dict[str, list[Question]], pool: Pool, count: int) -> None:
        """`generate` of transformers on random questions: 10 prompts in one batch, then 16 samples of each."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from detectors.pretrained import unpacked

        folder = unpacked(Path(self.model), "") if self.model.endswith(".gguf") else Path(self.model)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        exemplars = Exemplars(pool, 10, 4, Knowledge().seed)
        every = [question for questions in asked.values() for question in questions]
        chosen = np.random.default_rng(self.seed).choice(len(every), count, replace=False).tolist()
        seconds, right = 0.0, 0
        for done, row in enumerate(chosen, 1):
            question = every[row]
            group = exemplars.group(question.text, question.relation)
            texts = [prompt(exemplars.shown(group, at), question.text) for at in range(10)]
            began = time.process_time()
            batch = tokenizer(texts, return_tensors="pt", padding=True)
            common = {"max_new_tokens": 24, "stop_strings": ["\n"], "tokenizer": tokenizer}
            with torch.inference_mode():
                greedy = model.generate(**batch, do_sample=False, **common)
                drawn = model.generate(
                    **batch, do_sample=True, temperature=0.5, top_k=40, num_return_sequences=SAMPLES, **common
                )
            seconds += time.process_time() - began
            size = batch["input_ids"].shape[1]
            said = tokenizer.batch_decode(
                torch.cat([_wide(greedy, size), _wide(drawn, size)]), skip_special_tokens=True
            )
            right += sum(text.strip() in spellings(question.answers) for text in said)
            self.write("plain_generate", {"n": done, "questions_a_cpu_s": round(done / seconds, 5), "right": right})

    def falsity(self, each: int) -> None:
        """Right and false answers of each source, one row each."""
        frame = pl.read_parquet(self.tasks / "falsity.parquet")
        sources: dict[str, Any] = {}
        for source in sorted(frame["source"].unique().to_list()):
            part = frame.filter(pl.col("source") == source).sample(each + RESERVE, seed=self.seed)
            rows = list(part.iter_rows(named=True))
            pool = Pool.of(Fact(source, row["question"], row["true_answers"][0]) for row in rows[each:])
            right = [Question(row["question"], tuple(row["true_answers"][:1]), source) for row in rows[:each]]
            false = [Question(row["question"], tuple(row["false_answers"][:1]), source) for row in rows[:each]]
            one = self.timed(self.probe(pool, "exact"), [*right, *false])
            sources[source] = {"questions": each, **_told(one.frame, each)}
            self.write("falsity", sources)

    def speeds(self) -> None:
        """Ratios of the three rates, as far as they were measured."""
        rates = {
            name: part["questions_a_cpu_s"]
            for name, part in self.found.items()
            if name in ("exact", "sampled", "plain_generate")
        }
        over = {
            f"exact_over_{name}": round(rates["exact"] / rate, 1) for name, rate in rates.items() if name != "exact"
        }
        self.write("ratios", over)


def _wide(ids: Any, start: int) -> Any:
    import torch

    return torch.nn.functional.pad(ids[:, start:], (0, 24 - (ids.shape[1] - start)), value=0)


def _shares(frame: pl.DataFrame) -> dict[str, Any]:
    n = frame["category"].count()
    counts = {
        name: {label: int((frame[name] == label).sum()) for label in LABELS}
        for name in ("category", "corrected", "own_category")
    }
    return {
        "n": n,
        **{name: {label: shown(hits, n) for label, hits in count.items()} for name, count in counts.items()},
    }


def _agreement(expected: pl.DataFrame, drawn: pl.DataFrame) -> dict[str, Any]:
    """z-scores of the hits that were drawn, and what became of each category."""
    p, share = (frame["p_sampled"].cast(pl.Float64).to_numpy() for frame in (expected, drawn))
    draws = 10 * SAMPLES
    # Prompts differ in p, so the variance of their sum is at most that of draws with the mean p.
    known = (p > 0) & (p < 1) & (draws * p * (1 - p) >= 1)
    z = (share[known] - p[known]) * draws / np.sqrt(draws * p[known] * (1 - p[known]))
    confusion = {label: dict.fromkeys(LABELS, 0) for label in LABELS}
    for one, other in zip(expected["category"].to_list(), drawn["category"].to_list(), strict=True):
        confusion[one][other] += 1
    same = sum(confusion[label][label] for label in LABELS)
    greedy = np.abs(expected["p_greedy"].to_numpy() - drawn["p_greedy"].to_numpy()) < 1e-4
    return {
        "p_greedy_equal": shown(int(greedy.sum()), len(greedy)),
        "category_equal": shown(same, expected.height),
        "corrected_equal": shown(int((expected["corrected"] == drawn["corrected"]).sum()), expected.height),
        "z": {
            "n": int(known.sum()),
            "mean": round(float(z.mean()), 3) if len(z) else None,
            "sd": round(float(z.std()), 3) if len(z) else None,
        },
        "expected_hits": round(float(p.sum() * draws), 1),
        "drawn_hits": round(float(share.sum() * draws), 1),
        "confusion_exact_to_sampled": confusion,
    }


def _told(frame: pl.DataFrame, each: int) -> dict[str, Any]:
    """AUROC of scores that should be higher for false answers, and how often FX403 hits either kind."""
    label = np.repeat([0, 1], [each, frame.height - each])
    columns = {
        name: frame[name].cast(pl.Float64).to_numpy() for name in ("log_p", "others_log_p", "own_log_p", "own_differs")
    }
    scores = {
        "minus_log_p": -columns["log_p"],
        "own_minus_answer_log_p": columns["own_log_p"] - columns["log_p"],
        "others_minus_answer_log_p": columns["others_log_p"] - columns["log_p"],
        "own_differs": columns["own_differs"],
    }
    found: dict[str, Any] = {}
    for name, score in scores.items():
        kept = np.isfinite(score)
        value = round(auroc(label[kept], score[kept]), 4)
        found[name] = {"auroc": value, "n": int(kept.sum())}
        if value == value:
            wrong = int(label[kept].sum())
            found[name]["auroc_95"] = interval(value, int(kept.sum()) - wrong, wrong)
    known = (frame["own_category"] == "HighlyKnown").fill_null(False).to_numpy()
    differs, sampled = (frame[name].fill_null(0.0).to_numpy() for name in ("own_differs", "own_sampled"))
    for least in (0.5, 0.9):
        hit = known & (differs >= 0.7) & (sampled >= least)
        found[f"hit_at_own_sampled_{least}"] = {
            "right": shown(int(hit[:each].sum()), each),
            "false": shown(int(hit[each:].sum()), frame.height - each),
        }
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all of it and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=167, help="of each of 12 relations")
    parser.add_argument("--first", type=int, default=167, help="of these, before the other parts are run")
    parser.add_argument("--minutes", type=float, default=600.0, help="of time, after which no relation is begun")
    parser.add_argument("--sampled", type=int, default=20, help="of each, for the sampled estimator")
    parser.add_argument("--plain", type=int, default=50, help="in all, for generate")
    parser.add_argument("--falsity", type=int, default=200, help="questions of each source")
    parser.add_argument("--seed", type=int, default=17)
    asked = parser.parse_args(arguments)
    bench = Bench(asked.data, asked.model, asked.output, asked.seed, asked.minutes)
    questions, pool = bench.split(asked.questions)
    probe = bench.probe(pool, "exact")
    bench.timed(probe, questions[RELATIONS[0]][:8])
    exact = bench.shares(questions, probe, asked.first)
    bench.plain(questions, pool, asked.plain)
    bench.agreement(questions, exact, bench.probe(pool, "sampled"), asked.sampled)
    bench.falsity(asked.falsity)
    bench.speeds()
    bench.shares(questions, probe, asked.questions)
    bench.speeds()


if __name__ == "__main__":
    main()
