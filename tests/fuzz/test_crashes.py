"""Inputs that once ended in a traceback are refused, and a sample of `make fuzz` finds none."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from detectors.errors import ConfigError
from tests.conftest import REPOSITORY
from tests.fuzz.__main__ import survives
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS
from tests.torture.kinds import several

CRASHES = sorted((REPOSITORY / "tests" / "fuzz" / "crashes").glob("*.bin"))

RULES = [  # Polars finds out that these compare what cannot be compared only when it comes to the values
    "(0 - document.words < '3' || shard) = 'ab'",
    "residue.hits > 0 AND (document.words >= 50 OR diversity.mattr < 0 < 0.4)",
    "residue.hits > 0 AND diversity.mattr < 0 || .4",
]


@pytest.mark.parametrize("path", CRASHES, ids=lambda path: path.stem)
def test_an_input_that_once_crashed_is_refused(path: Path, tmp_path: Path) -> None:
    target = TARGETS[path.stem.rpartition("-")[0]]
    assert not survives(target, path.read_bytes(), tmp_path)


@pytest.mark.parametrize("sql", RULES)
def test_a_rule_that_compares_what_cannot_be_compared_is_named(sql: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rule MY101: .* does not fit the findings"):
        TARGETS["rule"].run(sql.encode(), tmp_path)


@pytest.mark.parametrize(
    "sql",
    [
        "row IN (SELECT row FROM self)",
        "(SELECT 1) = row",
        "EXISTS (SELECT 1)",
        *(f"{name}('/etc/passwd') = row" for name in ("read_csv", "read_parquet", "read_ndjson", "scan_csv", "glob")),
        *("document.words > 1; DROP TABLE x", "document.words > 1 -- all", "document.words > 1 /* */", "COUNT(*) > 1"),
        *(
            "SUM(document.words) > 1",
            "row OVER () > 1",
            "row = ANY(errors)",
            "CAST(row AS VARCHAR) = '1'",
            "row::text = '1'",
        ),
        *("document.words > $1", "`row` = 1", "row = @x", "UNNEST(errors) = 'x'", "STRPTIME(shard, '%Y') > 1"),
    ],
)
def test_a_rule_is_an_expression_over_one_row_and_nothing_else(sql: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        TARGETS["rule"].run(sql.encode(), tmp_path)


def test_mutations_of_one_seed_and_place_are_the_same_and_most_differ_from_the_seed() -> None:
    seeds = [b'{"text": "one two", "n": 3}\n', b"[1, 2]"]
    made = [mutated(seeds, random.Random(number), [b"::"]) for number in range(300)]
    assert made == [mutated(seeds, random.Random(number), [b"::"]) for number in range(300)]
    assert len(set(made)) > 200 and sum(one in seeds for one in made) < 30


def test_a_sample_of_mutated_files_ends_in_no_traceback_no_hang_and_little_memory(tmp_path: Path) -> None:
    inputs = several(1200, 20_000)
    words = [sys.executable, "-m", "tests.fuzz", "--inputs", str(inputs), "--dry", "--keep", str(tmp_path / "kept")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    chosen = ["--what", "parquet,arrow,jsonl,sketch", "--seed", "3"]
    done = subprocess.run([*words, *chosen], cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert (done.returncode, found["faults"]) == (0, 0), done.stderr
    assert found["inputs"] >= inputs


def test_what_is_no_foxing_error_is_seen_as_a_fault(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.fuzz import targets, __main__ as fuzzing\n"
        "def run(data, folder):\n"
        "    if b'!' in data: raise ValueError('a fault')\n"
        "targets.TARGETS['made-up'] = targets.Target(1, targets.csv_seeds, run, [b'!'])\n"
        "fuzzing.seeds_of = targets.csv_seeds\n"
        "class Here:\n"
        "    def __init__(self, *_): pass\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *_): pass\n"
        "    def submit(self, *_): return self\n"
        "    def result(self): return targets.csv_seeds()\n"
        "fuzzing.ProcessPoolExecutor = Here\n"
        f"print(fuzzing.fuzz('made-up', 300, seed=1, keep=Path({str(tmp_path)!r})).faults[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert "ValueError: a fault" in done.stdout, done.stderr
    assert any(b"!" in file.read_bytes() for file in tmp_path.glob("made-up-*.bin"))
