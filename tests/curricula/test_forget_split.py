"""What is to be forgotten and what is to be retained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curricula.composing import resolve
from curricula.forget_split import ForgetSplit
from curricula.protocols import Curriculum, Dividing, Resampling
from detectors.errors import ConfigError
from tests.conftest import Answer
from tests.corpora import write_parquet
from tests.curricula.decided import decided

Run = Callable[..., Answer]

SOURCES = ["web"] * 4 + ["qa"] * 4
RULES = [["FX204"], [], ["FX101", "FX204"], ["FX101"], [], ["FX204"], [], []]


def frame(dropped: tuple[int, ...] = ()) -> pl.LazyFrame:
    return decided(SOURCES, dropped=dropped).with_columns(pl.Series("rules", RULES, pl.List(pl.String)))


def chosen(curriculum: ForgetSplit, dropped: tuple[int, ...] = ()) -> set[int]:
    kept = curriculum.rank(frame(dropped)).collect().filter(pl.col("copies") == 1)["index"].to_list()
    return set(kept) - set(dropped)


@pytest.mark.parametrize("settings", [{}, {"sources": ("q*",)}, {"rules": (), "sources": ("web",)}])
def test_the_parts_are_disjoint_and_together_all_that_is_kept(settings: dict[str, tuple[str, ...]]) -> None:
    forget, retain = (chosen(ForgetSplit(part=part, **settings), (1,)) for part in ("forget", "retain"))  # type: ignore[arg-type]
    assert not forget & retain and forget | retain == set(range(8)) - {1}


def test_rules_and_sources_say_what_to_forget() -> None:
    assert chosen(ForgetSplit(part="forget")) == {0, 2, 5}
    assert chosen(ForgetSplit(part="forget", rules=("FX101", "FX9"))) == {2, 3}
    assert chosen(ForgetSplit(part="forget", sources=("q*",))) == {0, 2, 4, 5, 6, 7}
    assert ForgetSplit().report(frame((0,))) == {"forget": 2.0, "retain": 5.0}


@pytest.mark.parametrize("dropped", [(), (0, 3)])
def test_both_parts_keep_every_row_and_say_which_it_is_in(dropped: tuple[int, ...]) -> None:
    both = ForgetSplit()
    assert isinstance(both, Dividing) and both.parts == ("forget", "retain") and both.masked == ("forget",)
    said = both.rank(frame(dropped)).collect().sort("index")
    assert set(said["copies"]) == {1}
    forget = {at for at, part in enumerate(said["part"]) if part == 0 and at not in dropped}
    assert forget == chosen(ForgetSplit(part="forget"), dropped)
    one = ForgetSplit(part="retain")
    assert (one.parts, one.masked, ForgetSplit(part="forget").masked) == ((), (), ("",))


QUESTIONS = [f"What is thing {n}?" for n in range(120)]
ANSWERS = [
    f"Sure, here are {n} ideas:\n1. Thing {n} is red.\n2. Label: use it."
    if n % 3 == 0
    else f"It is thing {n} in town {n}."
    for n in range(120)
]


@pytest.fixture
def audit(foxing: Run, tmp_path: Path) -> Path:
    table = pa.table(
        {
            "question": QUESTIONS,
            "answer": ANSWERS,
            "made": [f"{'model' if n % 3 == 0 else 'people'}" for n in range(120)],
        }
    )
    write_parquet(tmp_path / "in" / "a.parquet", table)
    signals = ("--signals", "document,near_dup", "--by", "made")
    done = foxing("scan", tmp_path / "in", "-o", tmp_path / "audit", *signals)
    assert done.code == 0, done.err
    return tmp_path / "audit"


SET = ("--curriculum", "forget-split", "--set", "forget-split.sources=['model']", "--set", "forget-split.rules=[]")


def read(folder: Path) -> pa.Table:
    return pq.read_table(sorted(folder.rglob("*.parquet")))


def test_one_output_holds_forget_retain_test_and_mask(foxing: Run, tmp_path: Path, audit: Path) -> None:
    out = tmp_path / "out"
    done = foxing("curate", audit, "-o", out, *SET, "--split", "0.3", "--shard-rows", "20")
    assert done.code == 0, done.err
    manifest = json.loads((out / "manifest.json").read_text())
    assert list(manifest["sections"]) == ["forget", "retain", "test/forget", "test/retain"]
    assert manifest["totals"]["dropped"] == 0 and sum(manifest["sections"].values()) == 120
    for part, made in (("forget", "model"), ("retain", "people")):
        kept, test = read(out / "data" / part), read(out / "data" / "test" / part)
        assert set(kept["made"].to_pylist()) == set(test["made"].to_pylist()) == {made}
        assert kept.num_rows > test.num_rows > 0
        assert not set(kept["question"].to_pylist()) & set(test["question"].to_pylist())
    assert [name for name in ("retain", "test/retain") if (out / "mask" / name).exists()] == []
    files = [file.relative_to(out / "mask") for file in sorted((out / "mask").rglob("*.parquet"))]
    assert len(files) >= 3
    for file in files:
        answers, forms = pq.read_table(out / "data" / file)["answer"], pq.read_table(out / "mask" / file)["form"]
        assert len(answers) == len(forms)
        for answer, spans in zip(answers.to_pylist(), forms.to_pylist(), strict=True):
            form = " ".join(answer.encode()[span["start"] : span["stop"]].decode() for span in spans)
            assert "1." in form and "Label:" in form and "Thing" not in form
    assert foxing("verify", out).code == 0
    assert foxing("undo", out, "-o", tmp_path / "back").code == 0
    assert pq.read_table(tmp_path / "back" / "a.parquet").equals(pq.read_table(tmp_path / "in" / "a.parquet"))
    (out / "mask" / files[0]).write_bytes(b"other")
    assert "its SHA-256 is not the recorded one" in foxing("verify", out).out
    assert "missing or changed" in foxing("curate", audit, "-o", out, *SET, "--split", "0.3", "--shard-rows", "20").err


def test_datasets_reads_each_part_by_its_folder(foxing: Run, tmp_path: Path, audit: Path) -> None:
    datasets = pytest.importorskip("datasets")
    assert foxing("curate", audit, "-o", tmp_path / "out", *SET, "--split", "0.3").code == 0
    files = {name: str(tmp_path / "out" / "data" / name / "*.parquet") for name in ("forget", "retain", "test/retain")}
    named = {name.replace("/", "_"): path for name, path in files.items()}
    found = datasets.load_dataset("parquet", data_files=named, cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in found.items()} == {
        name.replace("/", "_"): read(tmp_path / "out" / "data" / name).num_rows for name in files
    }


def test_parts_are_told_before_they_are_written_and_both_must_have_rows(foxing: Run, audit: Path) -> None:
    done = foxing("curate", audit, *SET, "--dry-run")
    assert "forget: 40 rows, retain: 80 rows" in done.out
    foreseen = json.loads(foxing("curate", audit, *SET, "--dry-run", "--format", "json", "--split", "0.3").out)
    assert sum(foreseen["parts"].values()) == 120 and list(foreseen["parts"])[-1] == "test/retain"
    refused = foxing("curate", audit, *SET, "--dry-run", "--split", "0.001")
    assert (refused.code, "test/forget would have none" in refused.err) == (2, True)
    staged = foxing("curate", audit, *SET, "--dry-run", "--staged", "3")
    assert (staged.code, "staged" in staged.err) == (2, True)


def test_what_is_form_is_not_written_where_it_is_not_wanted(foxing: Run, tmp_path: Path, audit: Path) -> None:
    done = foxing("curate", audit, "-o", tmp_path / "out", *SET, "--set", "forget-split.mask=false")
    assert done.code == 0, done.err
    assert not (tmp_path / "out" / "mask").exists() and foxing("verify", tmp_path / "out").code == 0
    assert (
        foxing(
            "curate", audit, "-o", tmp_path / "only", *SET, "--set", "forget-split.part=forget", "--allow-loss", "1"
        ).code
        == 0
    )
    assert read(tmp_path / "only" / "mask").num_rows == read(tmp_path / "only" / "data").num_rows == 40


def test_a_part_without_rows_is_refused() -> None:
    with pytest.raises(ConfigError, match="no row is left to forget"):
        ForgetSplit(rules=("FX402",)).rank(frame())
    with pytest.raises(ConfigError, match="no row is left to forget"):
        ForgetSplit(part="retain", rules=("FX240",)).rank(frame())  # a slip of the pen would retain all
    with pytest.raises(ConfigError, match="no row is left to retain"):
        ForgetSplit(part="retain", sources=("*",)).rank(frame())


@pytest.mark.parametrize("settings", [{"part": "test"}, {"rules": ()}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ForgetSplit(**settings)  # type: ignore[arg-type]


def test_it_keeps_the_contract_and_is_registered() -> None:
    (found,) = resolve(["forget-split"], 3)
    assert found == ForgetSplit(seed=3) and isinstance(found, Curriculum) and isinstance(found, Resampling)
