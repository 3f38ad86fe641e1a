"""The hooks of pre-commit, run by pre-commit itself in a git repository, and the files for continuous integration."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.corpora import texts

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
SETTINGS = 'signals = ["document", "residue"]\nworkers = 1\nsketches = false\nstages = []\n'
RESIDUE = "As an AI language model, I cannot smell flowers."


def run(words: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A command as a user of that folder runs it, with foxing on the path and no settings of this machine's user."""
    home = {
        "HOME": str(folder.parent / "home"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PRE_COMMIT_HOME": str(folder.parent / "pc"),
    }
    names = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b.c",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b.c",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTEST_"))}
    path = f"{BIN}{os.pathsep}{kept.get('PATH', '')}"
    caches = kept.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return subprocess.run(
        words,
        cwd=folder,
        env={
            **kept,
            **home,
            **names,
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH": path,
            "XDG_CACHE_HOME": caches,
            **more,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def git(folder: Path, *words: str) -> str:
    done = run(["git", *words], folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def parquet(path: Path, found: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": found}), path)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with our hooks, run from this environment instead of one that pre-commit would install."""
    if shutil.which("git") is None or not (BIN / "pre-commit").exists():
        pytest.skip("git or pre-commit is absent. Install git, and pre-commit with pip, to run this test.")
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "home").mkdir()
    hooks = [{**hook, "language": "system"} for hook in HOOKS]
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [{"repo": "local", "hooks": hooks}]}))
    (folder / "foxing.toml").write_text(SETTINGS)
    parquet(folder / "old.parquet", texts(20))
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "begin")
    return folder


def commit(repository: Path, hook: str) -> tuple[bool, str]:
    """Stage all and run one hook as a commit would: whether it passed, and what was said."""
    git(repository, "add", "-A")
    done = run([str(BIN / "pre-commit"), "run", hook, "--color", "never", "--verbose"], repository)
    return done.returncode == 0, done.stdout + done.stderr


def test_a_commit_with_good_data_passes_and_one_with_chatbot_output_fails(repository: Path) -> None:
    parquet(repository / "new one.parquet", texts(20, seed=3))
    passed, said = commit(repository, "foxing-check")
    assert passed and "Every rule is within budget." in said and "20 rows in 1 shard" in said
    parquet(repository / "sub" / "bad.parquet", [*texts(9), RESIDUE])
    passed, said = commit(repository, "foxing-check")
    assert not passed and "FX102" in said and "sub/bad.parquet row 9" in said and "exit code: 1" in said


def test_a_git_lfs_pointer_is_named_with_its_remedy(repository: Path) -> None:
    (repository / "large.parquet").write_text(POINTER)
    parquet(repository / "good.parquet", texts(9))
    passed, said = commit(repository, "foxing-check")
    assert not passed and "exit code: 2" in said and "FX903" in said and "9 rows in 1 shard" in said
    assert "large.parquet: is a Git LFS pointer, not the data. Run: git lfs pull" in said


def test_a_renamed_file_is_judged_under_its_new_name_and_a_removed_one_is_not(repository: Path) -> None:
    parquet(repository / "bad.parquet", [*texts(9), RESIDUE])
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "bad", "--no-verify")
    git(repository, "mv", "bad.parquet", "renamed.parquet")
    git(repository, "rm", "-q", "old.parquet")
    passed, said = commit(repository, "foxing-check")
    assert not passed and "renamed.parquet row 9" in said and "/bad.parquet" not in said and "old.parquet" not in said


def test_a_commit_without_data_runs_nothing(repository: Path) -> None:
    (repository / "notes.txt").write_text("hello")
    passed, said = commit(repository, "foxing-check")
    assert passed and "no files to check" in said


def test_a_commit_that_only_removes_data_judges_nothing(repository: Path) -> None:
    git(repository, "rm", "-q", "old.parquet")
    passed, said = commit(repository, "foxing-check")
    assert passed and "no files to check" in said


@pytest.mark.parametrize("is_staged_bad", [True, False])
def test_of_a_partly_staged_file_what_is_staged_is_judged(repository: Path, is_staged_bad: bool) -> None:
    good, bad = json.dumps({"text": texts(1)[0]}) + "\n", json.dumps({"text": RESIDUE}) + "\n"
    (repository / "part.jsonl").write_text(good + (bad if is_staged_bad else good))
    git(repository, "add", "part.jsonl")
    (repository / "part.jsonl").write_text(good + (good if is_staged_bad else bad))
    done = run([str(BIN / "pre-commit"), "run", "foxing-check", "--color", "never", "--verbose"], repository)
    assert ("part.jsonl row 1" in done.stdout) == is_staged_bad == (done.returncode == 1), done.stdout + done.stderr


def test_more_than_a_thousand_files_are_judged_together(repository: Path) -> None:
    for at in range(1_100):
        (repository / f"{at:04}.jsonl").write_text(json.dumps({"text": RESIDUE if at == 7 else f"note {at}"}) + "\n")
    passed, said = commit(repository, "foxing-check")
    # One in 1,100 is within 0.1 %: that holds for all of them, and for no smaller part.
    assert passed and "1 of 1,100 rows" in said and "1,100 rows in 1,100 shards" in said


def test_settings_that_foxing_does_not_know_fail_wherever_they_lie(repository: Path) -> None:
    (repository / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    passed, said = commit(repository, "foxing-config")
    assert passed and "pyproject.toml: ok" in said
    (repository / "sub").mkdir()
    (repository / "sub" / "foxing.toml").write_text('signal = ["document"]\n')
    passed, said = commit(repository, "foxing-config")
    assert not passed and "sub/foxing.toml: signal" in said


def test_a_manifest_must_match_its_shards(repository: Path, foxing: Callable[..., Any]) -> None:
    above, signals = repository.parent, ("--signals", "document,residue", "--stages", "", "--workers", 1)
    parquet(above / "in" / "a.parquet", texts(30))
    assert foxing("scan", above / "in", "-o", above / "audit", *signals).code == 0
    assert foxing("curate", above / "audit", "-o", repository / "out", "--curriculum", "original").code == 0
    passed, said = commit(repository, "foxing-verify")
    assert passed and "every input row is accounted for, unchanged" in said
    (shard,) = (repository / "out" / "data").rglob("*.parquet")
    parquet(shard, texts(29))
    git(repository, "add", "-A")
    (repository / "out" / "manifest.json").touch()
    done = run([str(BIN / "pre-commit"), "run", "foxing-verify", "--files", "out/manifest.json"], repository)
    assert done.returncode == 1 and "mismatch: data/" in done.stdout


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_hooks_take_the_files_that_foxing_reads(hook: Mapping[str, Any]) -> None:
    examples = {
        "foxing-check": ["a.parquet", "b/c.jsonl.gz", "d.csv.zst", "e.arrow", "f.tsv"],
        "foxing-config": ["foxing.toml", "x/pyproject.toml"],
        "foxing-verify": ["manifest.json", "out/manifest.json"],
    }
    assert all(re.search(hook["files"], name) for name in examples[hook["id"]])
    assert not any(
        re.search(hook["files"], name) for name in ("a.py", "parquet.md", "old-foxing.toml", "x.manifest.json")
    )


def filled(value: str, inputs: Mapping[str, str]) -> str:
    """What GitHub makes of `${{ inputs.NAME }}`."""
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], value)


def action(folder: Path, *, runner: Path | None = None, **given: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """The check step of the action as a runner runs it, and the outputs that it set."""
    inputs = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()}
    inputs |= {name.replace("_", "-"): value for name, value in given.items()}
    (step,) = [step for step in ACTION["runs"]["steps"] if step.get("id") == "check"]
    temporary = runner or folder.parent / f"runner{len(list(folder.parent.glob('runner*')))}"
    temporary.mkdir(exist_ok=True)
    more = {name: filled(value, inputs) for name, value in step["env"].items()}
    more |= {"RUNNER_TEMP": str(temporary), "GITHUB_OUTPUT": str(temporary / "output")}
    where = folder / filled(step["working-directory"], inputs)
    done = run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], where, **more)
    return done, (temporary / "output").read_text()


def data(tmp_path: Path, *bad: str) -> Path:
    folder = tmp_path / "checkout"
    parquet(folder / "data" / "it's a file.parquet", [*texts(20), *bad])
    (folder / "foxing.toml").write_text(SETTINGS)
    return folder


def test_the_action_annotates_writes_sarif_and_exits_by_the_verdict(tmp_path: Path) -> None:
    folder = data(tmp_path, RESIDUE)
    done, output = action(folder, paths="data\n\n", sarif_file="foxing.sarif", options="--ignore=FX9\n")
    assert done.returncode == 1 and output == "exit-code=1\n", done.stderr
    assert "::error file=data/it's a file.parquet,title=FX102 assistant residue::" in done.stdout
    assert "data/it%27s%20a%20file.parquet" in (folder / "foxing.sarif").read_text()
    parquet(folder / "good" / "a.parquet", texts(9))
    done, output = action(folder, runner=tmp_path / "runner0", paths="good")
    assert done.returncode == 0 and output == "exit-code=1\nexit-code=0\n", "a job may use the action again"


def test_the_action_samples_and_takes_no_input_for_a_command(tmp_path: Path) -> None:
    folder = data(tmp_path)
    done, output = action(folder, paths="data", sample="true", options="--select=FX102")
    assert (
        done.returncode == 0
        and output == "exit-code=0\n"
        and "::notice title=foxing::20 rows in 1 shard" in done.stdout
    )
    done, _ = action(folder, paths="$(touch owned); touch owned `touch owned`", options='"; touch owned; "')
    assert done.returncode == 2 and not (folder / "owned").exists()


def test_every_input_and_output_of_the_action_is_used_and_described() -> None:
    steps = str(ACTION["runs"]["steps"])
    for name, one in ACTION["inputs"].items():
        assert one["description"] and f"inputs.{name} " in steps
    assert all("run" not in step or "${{" not in step["run"] for step in ACTION["runs"]["steps"])
    assert ACTION["runs"]["using"] == "composite" and "exit-code=" in steps


def test_the_workflow_names_inputs_that_the_action_has() -> None:
    workflow = yaml.safe_load((ROOT / "samples" / "ci" / "github.yml").read_text("utf-8"))
    steps = workflow["jobs"]["foxing"]["steps"]
    (ours,) = [step for step in steps if "/foxing@" in step.get("uses", "")]
    assert set(ours["with"]) <= set(ACTION["inputs"])
    assert {name for name, one in ACTION["inputs"].items() if one.get("required")} <= set(ours["with"])


def test_the_job_of_gitlab_runs_as_written(tmp_path: Path) -> None:
    folder = data(tmp_path, RESIDUE)
    job = yaml.safe_load((ROOT / "samples" / "ci" / "gitlab.yml").read_text("utf-8"))["foxing"]
    done = run(["bash", "-ec", "\n".join(job["script"])], folder)
    assert done.returncode == 1, done.stderr
    assert (folder / job["artifacts"]["paths"][0]).exists() and "budget" in done.stdout
