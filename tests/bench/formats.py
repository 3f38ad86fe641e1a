"""`python -m tests.bench.formats`: whether the measures of format uniformity order what is known to be uniform.

Real sets at equal rows and at equal words, template counts in a made set, and how often FX203 hits human text. Nothing
of the texts is stored.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.format_measures import Share, top_share
from audit.format_profile import LEAST_WORDS, FormatProfile, format_profile
from audit.scan_run import scan
from detectors.documents import Documents
from detectors.format_uniformity import FormatUniformity
from detectors.protocols import Device
from tests.bench import corpora
from tests.bench.machine import machine

RESULTS = Path(__file__).with_name("results")
HUMAN = "human_web"
BASE = "dolly_15k"
EXPECTED_ABOVE = ("t0_p3_sample", "halueval_general", "alpaca_5000", "gpteacher_roleplay")
_SEED = 17
_ROWS = 2_000
_TEMPLATES = (1, 10, 100, 1_000)
_FUNCTION = (
    "the of is in for that it on with as but not have from they we an or if when which more how can about".split()
)
_SMALLEST = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.formats", description=__doc__)
    parser.add_argument("--out", default=str(RESULTS), help="folder of the result")
    parser.add_argument("--dry", action="store_true", help="print and store nothing")
    asked = parser.parse_args(arguments)
    data = corpora.data_folder()
    needed = [data / "tasks" / "instructions.parquet", data / "bench" / "human_web_40k.parquet"]
    if absent := [path for path in needed if not path.is_file()]:
        print(f"SKIPPED: {absent[0]} is not there. Set FOXING_DATA.", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        result = {**machine(), "cost": cost(), **measured(data, Path(scratch)), "made": made(Path(scratch) / "made")}
    text = json.dumps(_rounded(result), indent=1)
    print(text)
    if not asked.dry:
        Path(asked.out).mkdir(parents=True, exist_ok=True)
        (Path(asked.out) / f"formats-{result['date']}.json").write_text(text + "\n", "utf-8")
    return 0


@dataclass(frozen=True)
class Rows:
    """Rows of one source in random order."""

    skeletons: npt.NDArray[np.uint64]
    words: npt.NDArray[np.int64]

    def longer(self, least: int) -> Rows:
        """Those that have so many words."""
        return Rows(self.skeletons[self.words >= least], self.words[self.words >= least])

    def rows(self, n: int) -> Share | None:
        """Top share of the first n."""
        return top_share(self.skeletons[:n])

    def budget(self, words: int) -> Share | None:
        """Top share of as many as have so many words together."""
        return top_share(self.skeletons[: int(np.searchsorted(np.cumsum(self.words), words)) + 1])


def measured(data: Path, scratch: Path) -> dict[str, object]:
    """All that is measured on real sets."""
    tasks, web = data / "tasks" / "instructions.parquet", data / "bench" / "human_web_40k.parquet"
    human = scanned(web, scratch / "human", None)
    by_source = scanned(tasks, scratch / "source", "source")
    by_author = scanned(tasks, scratch / "author", "author")
    sets = {**sampled(by_source), HUMAN: next(iter(sampled(human).values()))}
    sets.pop("alpaca_eval_outputs")  # thirty models, compared one by one below
    authors = {name: rows for name, rows in sampled(by_author).items() if name != "human"}
    judges = {BASE: sets[BASE], HUMAN: sets[HUMAN]}
    found: dict[str, object] = {
        "sets": {name: compared(sets, least) for name, least in (("50 words or more", LEAST_WORDS), ("any length", 1))},
        "without the smallest": compared(_without(sets, "t0_p3_sample"), LEAST_WORDS),
        "models": compared({**authors, **judges}, LEAST_WORDS),
        "hits of FX203": {
            "human web": hits(human),
            "instructions by source": hits(by_source),
        },
        "profile": _profile(format_profile(by_source, reference=human)),
    }
    dated = data / "detection" / "dated_web.parquet"
    if dated.is_file():
        found["hits of FX203"] |= {"dated web by site": hits(scanned(dated, scratch / "dated", "source"))}  # type: ignore[operator]
    return found


def _without(sets: Mapping[str, Rows], name: str) -> dict[str, Rows]:
    return {key: rows for key, rows in sets.items() if key != name}


def scanned(path: Path, folder: Path, by: str | None) -> Findings:
    """Findings of forms and templates."""
    config = ScanConfig(signals=("format",), stages=("templates",), workers=1, sketches=False, by=by, seed=_SEED)
    return scan([str(path)], folder, Config(scan=config)).findings


def sampled(findings: Findings) -> dict[str, Rows]:
    """All rows of each source with words, in random order."""
    fields = {"format": frozenset({"skeleton", "words"})}
    frame = pl.concat(part.select("source", "format") for part in findings.parts(fields)).unnest("format")
    frame = frame.drop_nulls("skeleton").sample(fraction=1, shuffle=True, seed=_SEED)
    groups = frame.partition_by("source", as_dict=True)
    return {
        str(name): Rows(group["skeleton"].to_numpy(), group["words"].to_numpy().astype(np.int64))
        for (name,), group in groups.items()
    }


def compared(sets: Mapping[str, Rows], least: int) -> dict[str, object]:
    """Top shares at equal rows and at equal words, each with what it is above that of the human-written answers."""
    chosen = {name: rows.longer(least) for name, rows in sets.items()}
    chosen = {name: rows for name, rows in chosen.items() if len(rows.words) >= _SMALLEST}
    rows = min(len(each.words) for each in chosen.values())
    words = min(int(each.words.sum()) for each in chosen.values())
    at_rows = {name: each.rows(rows) for name, each in chosen.items()}
    at_words = {name: each.budget(words) for name, each in chosen.items()}
    return {
        "least words": least,
        "equal rows": rows,
        "equal words": words,
        "at equal rows": _table(at_rows),
        "at equal words": _table(at_words),
    }


def _table(shares: Mapping[str, Share | None]) -> dict[str, object]:
    base = shares[BASE]
    assert base is not None
    known = sorted(((name, each) for name, each in shares.items() if each), key=lambda item: -item[1].share)
    return {
        name: {
            "share": each.share,
            "interval": [each.interval.low, each.interval.high],
            "rows": each.rows,
            "above dolly": above(each, base) if name != BASE else None,
        }
        for name, each in known
    }


def above(one: Share, other: Share) -> list[float]:
    """Difference of two shares and its 95 % interval by squaring and adding (Newcombe 1998, Stat. Med. 17:873)."""
    difference = one.share - other.share
    low = math.hypot(one.share - one.interval.low, other.interval.high - other.share)
    high = math.hypot(one.interval.high - one.share, other.share - other.interval.low)
    return [difference, difference - low, difference + high]


def hits(findings: Findings) -> dict[str, object]:
    """How many rows of 50 words or more the rule hits, `templates.share >= 0.01`."""
    fields = {"templates": frozenset({"share"})}
    frame = pl.concat(part.select("source", "templates") for part in findings.parts(fields)).unnest("templates")
    judged = frame.drop_nulls("share").group_by("source").agg(rows=pl.len(), hits=(pl.col("share") >= 0.01).sum())
    found: dict[str, object] = {"rows": int(judged["rows"].sum()), "hits": int(judged["hits"].sum())}
    if 1 < len(judged) <= 10:
        found |= {str(row["source"]): [row["hits"], row["rows"]] for row in judged.sort("source").to_dicts()}
    return found


def _profile(profile: FormatProfile | None) -> dict[str, object]:
    assert profile is not None and profile.unread is None
    found: dict[str, object] = {}
    for name, form in profile.sources.items():
        distance, order = form.distance, form.compression
        found[name] = {
            "skeleton_bits": form.skeleton_bits,
            "opening_bits": form.opening_bits,
            "closing_bits": form.closing_bits,
            "effective": [form.effective, form.compared],
            "order": None if order is None else [order.ratio, order.shuffled, order.gain],
            "distance to human web": None
            if distance is None
            else {"tokens": distance.tokens, "floor": distance.floor, "structure": distance.structure},
        }
    return found


def made(folder: Path) -> dict[str, object]:
    """The same contents behind 1, 10, 100 and 1,000 templates, and behind none."""
    random = np.random.default_rng(_SEED)
    folder.mkdir()
    fillings = [[f"w{number}x" for number in random.integers(0, 5_000, 60)] for _ in range(_ROWS)]
    frames = []
    for count in (*_TEMPLATES, 0):
        leads = random.choice(_FUNCTION, (count or _ROWS, 10))
        which = random.integers(0, count, _ROWS) if count else np.arange(_ROWS)
        texts = [" ".join([*leads[lead], *filling]) + "." for lead, filling in zip(which, fillings, strict=True)]
        frames.append(pl.DataFrame({"text": texts, "set": f"{count or 'no'} templates"}))
    pl.concat(frames).write_parquet(folder / "made.parquet")
    profile = format_profile(scanned(folder / "made.parquet", folder / "out", "set"))
    assert profile is not None
    return {
        name: {
            "share": form.share and [form.share.share, form.share.interval.low, form.share.interval.high],
            "uniformity": None if form.skeleton_bits is None else 1 - form.skeleton_bits / math.log2(_ROWS),
            "skeleton_bits": form.skeleton_bits,
            "opening_bits": form.opening_bits,
            "effective": form.effective,
            "order": form.compression and form.compression.gain,
        }
        for name, form in sorted(profile.sources.items(), key=lambda item: _FIRST.get(item[0], 0))
    }


_FIRST = {f"{count or 'no'} templates": place for place, count in enumerate((*_TEMPLATES, 0))}


def cost() -> dict[str, float]:
    """CPU nanoseconds a byte of the signal alone, words being there already; the least of several runs."""
    texts = pl.read_parquet(corpora.data_folder() / "bench" / "human_web_40k.parquet", n_rows=8_000)["text"].to_list()
    answers = pl.read_parquet(corpora.data_folder() / "tasks" / "instructions.parquet", n_rows=16_000)[
        "output"
    ].to_list()
    measure, found = FormatUniformity().load(Device.CPU), {}
    for name, each in (("human web", texts), ("answers", answers)):
        documents = Documents.from_texts(each)
        size = int(documents.offsets[-1] - documents.offsets[0])
        seconds = []
        for _ in range(15):
            assert len(documents.words)
            began = time.thread_time()
            measure(documents)
            seconds.append(time.thread_time() - began)
        found[name] = min(seconds) / size * 1e9
    return found


def _rounded(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    raise SystemExit(main())
