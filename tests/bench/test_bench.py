from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.config import Config, ScanConfig
from tests.bench import corpora, peers, report
from tests.bench.clock import floors, run
from tests.bench.stages import stages, threads
from tests.corpora import texts, write_texts

REPOSITORY = Path(__file__).resolve().parents[2]
LIGHT = Config(scan=ScanConfig(signals=("document",)))


def result(**changed: object) -> report.Result:
    one = {
        "text_bytes": 117_000_000,
        "floors_ns_per_byte": {"decode": 1.0, "regex": 40.0},
        "stages_ns_per_byte": {"decode": 1.25, "words": 2.5},
        "scan": {"net_mb_s": 65.0, "gross_mb_s": 50.0, "rss_mb": 400.0},
    }
    start = {"help_cpu_s": 0.1, "small_scan_cpu_s": 1.2}
    base = {"schema": report.SCHEMA, "version": 1, "date": "2026-11-29", "cpu": "a CPU", "python": "3.11.7"}
    rest = {"versions": {"numba": "0.68"}, "commit": "abc", "signature": "foxing:0", "start_up": start, "notes": []}
    return {**base, **rest, "corpora": {"web": one}, **changed}


def peer_result() -> report.Result:
    lines = [{"stage": stage, "cpu_s": 1.0, "bytes": 1_000_000} for stage in ("repetition", "quality", "minhash")]
    return {
        "schema": report.PEERS_SCHEMA,
        "date": "2026-11-29",
        "commit": "abc",
        "versions": {"datatrove": "1"},
        "comparisons": peers.compare({str(line["stage"]): line for line in lines}, {"chain": 10.0}),
    }


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of development data in small."""
    folder = tmp_path / "data"
    write_texts(folder / "bench" / "human_web_40k.parquet", list(texts(40)))
    (folder / "detection").mkdir()
    for name, language in (("a", "de"), ("b", "en")):
        found = {"text": [*texts(20), None], "lang": [language] * 21}
        pq.write_table(pa.table(found), folder / "detection" / f"{name}.parquet")
    monkeypatch.setenv("FOXING_DATA", str(folder))
    return folder


def test_every_stage_has_its_own_figure(data: Path) -> None:
    source = corpora.web()
    assert source is not None
    found, size = stages(source, LIGHT)
    assert size == corpora.text_bytes(source)
    assert list(found)[:5] == ["decode", "blocks", "words", "links", "sketches"]
    assert {"sketches", "document", "findings"} <= set(found) and all(value > 0 for value in found.values())


def test_floors_and_threads_are_measured_on_the_corpus_itself(data: Path) -> None:
    source = corpora.web()
    assert source is not None
    assert set(floors(source)) == {"decode", "regex"}
    assert threads(source, LIGHT, 2)["threads"] == 2


def test_a_small_language_is_repeated_and_english_fills_the_rest(data: Path, tmp_path: Path) -> None:
    path = corpora.mixed(tmp_path, size=10_000)
    assert path is not None
    table = pq.read_table(path)
    counts = {row["values"]: row["counts"] for row in table["lang"].value_counts().to_pylist()}
    assert counts["de"] == 80 and counts.get("en", 0) <= 20
    assert pq.read_table(corpora.mixed(tmp_path, size=10_000)).equals(table), "the same every time"


def test_a_repeated_corpus_costs_the_disk_of_one_file(data: Path, tmp_path: Path) -> None:
    source = corpora.web()
    assert source is not None
    made = sorted(corpora.repeated(source, 3, tmp_path / "r").iterdir())
    assert len({path.stat().st_ino for path in made}) == 1 and len(made) == 3


def test_large_row_groups_and_documents_have_the_size_asked_for(data: Path, tmp_path: Path) -> None:
    source = corpora.web()
    assert source is not None
    group = corpora.one_row_group(source, 50_000, tmp_path / "g.parquet")
    assert pq.ParquetFile(group).num_row_groups == 1 and corpora.text_bytes(group) >= 50_000
    document = corpora.one_document(source, 50_000, tmp_path / "d.parquet")
    assert pq.read_metadata(document).num_rows == 1 and corpora.text_bytes(document) == 50_000


@pytest.mark.parametrize("module", ["tests.bench", "tests.bench.peers"])
def test_without_data_the_bench_skips_and_says_so(module: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", module]
    environment = {"FOXING_DATA": str(tmp_path), "PATH": ""}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "SKIPPED" in done.stderr and "FOXING_DATA" in done.stderr


def test_a_run_counts_the_processes_it_waited_for() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(sum(range(3000000)))'])"
    assert run([sys.executable, "-c", script], {0}).output.strip() == "4499998500000"
    with pytest.raises(RuntimeError, match="exit 3"):
        run([sys.executable, "-c", "raise SystemExit(3)"], {0})


def test_a_run_is_not_charged_with_the_memory_of_the_bench() -> None:
    held = b"x" * 300_000_000
    assert run([sys.executable, "-c", "pass"], {0}).rss_mb < 100 < len(held) / 1e6
    assert run([sys.executable, "-c", "b'x' * 300_000_000"], {0}).rss_mb > 280


def test_the_table_and_the_cost_of_a_terabyte_follow_from_the_json_alone() -> None:
    given = json.loads(json.dumps(result())), json.loads(json.dumps(peer_result()))
    made = report.summary(*given)
    assert "| MB of text a CPU second, net of start-up | 65.0 |" in made
    assert "| times the Python regex floor | 2.60 |" in made
    assert "1 TB of text: 4.3 core hours at 65.0 MB/s a core, 16 minutes on 16 cores, 0.21 USD" in made
    assert "300x" in made and "not measured: datasketch_text" in made
    assert "2026-11-29" in made and "`foxing:0`" in made and "abc" in made
    stages = report.stages(given[0])
    assert "| words | 2.50 |" in stages and "| sum | 3.75 |" in stages
    filled = report.filled("before\n<!-- bench: summary -->\nold\n<!-- end -->\nafter\n", *given)
    assert filled == f"before\n<!-- bench: summary -->\n{made}<!-- end -->\nafter\n"


def test_the_figures_in_the_documents_are_those_of_the_newest_results() -> None:
    measured = report.newest(report.SCHEMA)
    assert measured is not None
    for path in report.DOCUMENTS:
        text = path.read_text("utf-8")
        assert "<!-- bench: " in text
        assert report.filled(text, measured, report.newest(report.PEERS_SCHEMA)) == text


def test_the_terminal_shows_what_was_measured_beyond_rates() -> None:
    shown = report.text(result(slope=[{"files": 2, "net_ns_per_byte": 15.5}], notes=["x: left out"]))
    assert "net_ns_per_byte 15.50" in shown and "x: left out" in shown and "--help 0.10 CPU s" in shown


def test_results_are_found_again_by_kind_and_date(tmp_path: Path) -> None:
    report.save(result(date="2026-11-28"), "bench", tmp_path)
    path = report.save(result(), "bench", tmp_path)
    assert path.name == "bench-2026-11-29.json"
    newest = report.newest(report.SCHEMA, tmp_path)
    assert newest is not None and newest["date"] == "2026-11-29"
    assert report.newest(report.PEERS_SCHEMA, tmp_path) is None


def test_stored_numbers_claim_four_digits() -> None:
    assert report.rounded({"a": [1.23456, 7, "x"], "b": (0.000123456,)}) == {"a": [1.235, 7, "x"], "b": [0.0001235]}


def test_every_field_of_a_result_is_documented() -> None:
    described = "".join((REPOSITORY / "docs" / name).read_text("utf-8") for name in ("bench.md", "detector.md"))
    for path in report.RESULTS.glob("*.json"):
        for name in json.loads(path.read_text("utf-8")):
            assert f"`{name}`" in described or f"`{name}." in described, f"{path.name}: {name}"


def test_ratios_come_from_costs_added_up() -> None:
    (row,) = [one for one in peer_result()["comparisons"] if "ratio" in one]
    assert row["ratio"] == pytest.approx(300) and row["foxing_mb_s"] == pytest.approx(100)
