"""The examples of scheduled audits do what they say: each runs a calm week and one that drifts."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import apart
from tests.corpora import texts, write_texts
from tests.github_runner import Job, checkout, commit, present, storage

SCHEDULE = Path(__file__).parent.parent / "samples" / "schedule"
BIN = Path(sys.executable).parent
RESIDUE = "As an AI language model, I cannot smell flowers."


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', '')}", **more}


def run(words: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, env=environment(**more), capture_output=True, text=True, check=False)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A calm corpus, and settings that make audits of it quick."""
    settings = 'signals = ["document", "residue"]\nworkers = 1\nsketches = false\nstages = []\n'
    (tmp_path / "foxing.toml").write_text(settings)
    for at in range(6):
        write_texts(tmp_path / "corpus" / f"{at}.parquet", texts(50, at))
    return tmp_path / "corpus"


def drifts(corpus: Path) -> None:
    """Next week: most files have changed and there are new ones, all of them with residue."""
    for at in range(1, 9):
        write_texts(corpus / f"{at}.parquet", [*texts(25, at), *[RESIDUE] * 25])


def test_the_script_for_cron_passes_a_calm_week_and_exits_1_on_drift(corpus: Path, tmp_path: Path) -> None:
    script = str(SCHEDULE / "weekly-audit.sh")
    state = tmp_path / "state"
    first = run([script, str(corpus), str(state)], tmp_path)
    assert first.returncode == 0 and "audit 1 is the baseline" in first.stdout, first.stderr
    drifts(corpus)
    second = run([script, str(corpus), str(state)], tmp_path)
    assert second.returncode == 1 and "Drift since audit 1" in second.stdout, second.stderr
    assert json.loads((state / "drift.json").read_text())["changes"][0]["rule"] == "FX102"
    assert (state / "trend.svg").read_text().startswith("<svg")


def test_the_units_of_systemd_run_the_script_on_a_calendar(tmp_path: Path) -> None:
    units = {}
    for kind in ("service", "timer"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(SCHEDULE / f"foxing-audit@.{kind}", "utf-8")
        units[kind] = parser
    words = shlex.split(units["service"]["Service"]["ExecStart"])
    assert Path(words[0]).name == "weekly-audit.sh" and len(words) == 3
    assert units["service"]["Service"]["Type"] == "oneshot" and units["timer"]["Timer"]["OnCalendar"] == "Mon 06:00"
    if shutil.which("systemd-analyze"):
        text = (SCHEDULE / "foxing-audit@.service").read_text("utf-8")
        placed = text.replace(words[0], str(SCHEDULE / "weekly-audit.sh"))
        (tmp_path / "foxing-audit@web.service").write_text(placed, "utf-8")
        shutil.copy(SCHEDULE / "foxing-audit@.timer", tmp_path)
        done = run(["systemd-analyze", "verify", "./foxing-audit@web.service", "./foxing-audit@.timer"], tmp_path)
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_the_crontab_line_is_one_that_cron_takes() -> None:
    text = (SCHEDULE / "weekly-audit.sh").read_text("utf-8")
    (line,) = [line for line in text.splitlines() if "# cron" in line]
    fields = line.split(":", 1)[1].split()
    assert fields[:5] == ["0", "6", "*", "*", "1"] and fields[5].endswith("weekly-audit.sh") and len(fields) == 8


def test_the_workflow_of_github_runs_as_written(corpus: Path, tmp_path: Path) -> None:
    """Two weeks in two fresh checkouts of a repository; what is kept between them is what the workflow keeps."""
    workflow: dict[Any, Any] = yaml.safe_load((SCHEDULE / "github.yml").read_text("utf-8"))
    assert workflow[True]["schedule"] == [{"cron": "0 6 * * 1"}]  # YAML 1.1 takes `on` for true
    job = workflow["jobs"]["audit"]
    repository, workspace = tmp_path / "repository", tmp_path / "work"
    repository.mkdir()
    corpus.rename(repository / job["env"]["CORPUS"])
    (tmp_path / "foxing.toml").rename(repository / "foxing.toml")
    actions = {"actions/checkout": checkout(repository), "actions/setup-python": present, **storage(tmp_path / "kept")}
    weeks = []
    for week in range(2):
        if week:
            drifts(repository / job["env"]["CORPUS"])
        commit(repository)
        shutil.rmtree(workspace, ignore_errors=True)
        context = {"github": {"run_id": str(70 + week), "run_attempt": "1"}}
        weeks.append(Job(workspace, tmp_path / f"runner{week}", environment(PIP_NO_INDEX="1"), context, actions))
        assert weeks[-1].run(job["steps"], job["env"]) == (week == 0), weeks[-1].said
    calm, drifted = weeks
    assert "audit 1 is the baseline" in calm.said and "Drift since audit 1" in drifted.summary
    assert [name for name, code in drifted.ran if code] == ["Audit"] and None not in dict(drifted.ran).values()
    assert json.loads((tmp_path / "kept" / "artifacts" / "audit" / "drift.json").read_text())["changes"]
    assert len(list((tmp_path / "kept" / "cache").iterdir())) == 2, "an audit that drifted is kept"


def test_the_flow_of_prefect_fails_on_drift(corpus: Path, tmp_path: Path) -> None:
    """In real Prefect, with a server of its own for each run."""
    more = {"PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    more |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180"}
    words = [str(apart.program("python")), str(SCHEDULE / "prefect_flow.py"), str(corpus), str(tmp_path / "state")]
    first = apart.run(words, tmp_path, environment(**more), 300)
    assert first.returncode == 0, first.stderr
    drifts(corpus)
    second = apart.run(words, tmp_path, environment(**more), 300)
    assert second.returncode == 1 and "DriftError" in second.stderr
    assert "drifted in FX102" in second.stderr
