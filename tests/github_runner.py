"""Runs the steps of a GitHub workflow or composite action as a runner does, with its files and without GitHub.

What a step `uses` from elsewhere is a function of the test; `run` is run by bash, as written, in order, with files for
outputs, variables, paths and summary. Known of expressions: names of contexts, strings, comparison, and, or, and the
functions `always`, `hashFiles` and `startsWith`. A step that has a key not known here is refused.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

BARE = ["bash", "-e"]
BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]
KEYS = {
    "uses": {"name", "id", "if", "uses", "with"},
    "run": {"name", "id", "if", "run", "shell", "working-directory", "env"},
}
_TOKEN = re.compile(r"'[^']*'|[A-Za-z_][\w-]*(?:\.[\w-]+)+|&&|\|\|")

Action = Callable[["Job", Mapping[str, str]], Mapping[str, str] | None]
"""Does what a step `uses`, given its inputs; gives its outputs."""


@dataclass
class Job:
    """One job: the state that its steps share.

    Attributes:
        workspace: where steps run.
        temporary: of the runner, for all steps.
        environment: variables of the machine; what steps put into GITHUB_ENV and GITHUB_PATH comes in.
        contexts: `github`, `inputs`, `matrix` and the like, each name to text.
        actions: what to do for `uses`, by what stands before the `@`.
        before: what a test does just before the step of a name.
        ok: whether no step has failed.
        ran: name (or first words) and outcome of each step, in order: its exit code, or None where it was skipped.
        said: what all steps printed.
        summary: what they wrote for the page of the run.
    """

    workspace: Path
    temporary: Path
    environment: dict[str, str]
    contexts: dict[str, dict[str, str]] = field(default_factory=dict)
    actions: Mapping[str, Action] = field(default_factory=dict)
    before: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    ok: bool = True
    ran: list[tuple[str, int | None]] = field(default_factory=list)
    said: str = ""
    summary: str = ""
    _outputs: dict[str, str] = field(default_factory=dict)

    def value(self, expression: str) -> Any:
        """What an expression comes to; a name that is not there is empty text, as on GitHub."""

        def word(found: re.Match[str]) -> str:
            token = found[0]
            if token.startswith("'"):
                return token
            return {"&&": " and ", "||": " or "}.get(token) or f"look({token!r})"

        def look(name: str) -> str:
            context, _, key = name.partition(".")
            return self._outputs.get(name, "") if context == "steps" else self.contexts.get(context, {}).get(key, "")

        def hashed(pattern: str) -> str:
            return "".join(sorted(path.name for path in self.workspace.glob(pattern)))

        known = {"look": look, "always": lambda: True, "hashFiles": hashed, "startsWith": str.startswith}
        return eval(_TOKEN.sub(word, expression).strip(), {"__builtins__": {}}, known)

    def filled(self, text: object) -> str:
        """A text of the file, its expressions replaced."""
        if isinstance(text, bool):
            return str(text).lower()
        return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(self.value(found[1])), str(text))

    def run(self, steps: list[dict[str, Any]], variables: Mapping[str, Any] | None = None) -> bool:
        """Run steps in order; whether none failed.

        Args:
            steps: as YAML has them.
            variables: `env` of the workflow and the job; what a step puts into GITHUB_ENV comes before them.
        """
        self.environment |= {key: self.filled(value) for key, value in (variables or {}).items()}
        for step in steps:
            known = KEYS["uses" if "uses" in step else "run"]
            assert step.keys() <= known, f"not known to this runner: {step.keys() - known}"
            name = step.get("name") or step.get("uses") or step["run"].splitlines()[0]
            condition = str(step.get("if", "always()" if self.ok else "''")).strip()
            if not (self.ok or "always()" in condition) or not self.value(condition):
                self.ran.append((name, None))
                continue
            self.before.get(name, lambda: None)()
            more = {key: self.filled(value) for key, value in step.get("env", {}).items()}
            code = self._use(step) if "uses" in step else self._shell(step, more)
            self.ran.append((name, code))
            self.ok = self.ok and not code
        return self.ok

    def _use(self, step: dict[str, Any]) -> int:
        given = {key: self.filled(value) for key, value in step.get("with", {}).items()}
        code, outputs = 0, None
        try:
            outputs = self.actions[step["uses"].partition("@")[0]](self, given)
        except ActionError as failed:
            code, outputs = 1, failed.outputs
            self.said += f"{failed}\n"
        self._set(step, (outputs or {}).items())
        return code

    def _set(self, step: dict[str, Any], outputs: Iterable[tuple[str, str]]) -> None:
        self._outputs |= {f"steps.{step.get('id')}.outputs.{key}": value for key, value in outputs}

    def _shell(self, step: dict[str, Any], more: Mapping[str, str]) -> int:
        folder = self.temporary / f"step{len(list(self.temporary.glob('step*')))}"
        folder.mkdir(parents=True)
        files = {name: folder / name.lower() for name in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")}
        for path in files.values():
            path.touch()
        script = folder / "script.sh"
        script.write_text(self.filled(step["run"]), "utf-8")
        own = {f"GITHUB_{name}": str(path) for name, path in files.items()}
        own |= {"GITHUB_WORKSPACE": str(self.workspace), "RUNNER_TEMP": str(self.temporary), "GITHUB_ACTIONS": "true"}
        own |= {f"GITHUB_{name.upper()}": value for name, value in self.contexts.get("github", {}).items()}
        done = subprocess.run(
            [*(BASH if step.get("shell") == "bash" else BARE), str(script)],
            cwd=self.workspace / self.filled(step.get("working-directory", ".")),
            env={**self.environment, **own, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said += done.stdout
        self.summary += files["STEP_SUMMARY"].read_text("utf-8")
        self._set(step, assigned(files["OUTPUT"]))
        self.environment |= dict(assigned(files["ENV"]))
        for line in files["PATH"].read_text("utf-8").splitlines():
            self.environment["PATH"] = f"{line}{os.pathsep}{self.environment['PATH']}"
        return done.returncode


class ActionError(Exception):
    """A step that `uses` an action failed, with what it put out before."""

    def __init__(self, message: str, outputs: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.outputs = outputs


def composite(folder: Path) -> Action:
    """The composite action in a folder, to be used by a job."""
    action = yaml.safe_load((folder / "action.yml").read_text("utf-8"))

    def use(job: Job, given: Mapping[str, str]) -> Mapping[str, str]:
        assert given.keys() <= action["inputs"].keys(), f"unknown inputs: {given.keys() - action['inputs'].keys()}"
        inputs = {key: job.filled(one.get("default", "")) for key, one in action["inputs"].items()} | dict(given)
        github = {**job.contexts.get("github", {}), "action_path": str(folder)}
        inner = Job(job.workspace, job.temporary, job.environment, {"github": github, "inputs": inputs})
        inner.before = job.before
        inner.run(action["runs"]["steps"])
        job.said, job.summary = job.said + inner.said, job.summary + inner.summary
        job.ran += inner.ran
        outputs = {key: inner.filled(one["value"]) for key, one in action.get("outputs", {}).items()}
        if not inner.ok:
            raise ActionError(f"{folder.name} failed", outputs)
        return outputs

    return use


def checkout(repository: Path) -> Action:
    """What actions/checkout does: the files of a repository as they were committed last."""

    def use(job: Job, given: Mapping[str, str]) -> None:
        job.workspace.mkdir(parents=True, exist_ok=True)
        command = ["git", "clone", "--quiet", str(repository), "."]
        done = subprocess.run(command, cwd=job.workspace, env=job.environment, capture_output=True, text=True)
        if done.returncode:
            raise ActionError(done.stderr)

    return use


def commit(repository: Path) -> None:
    """Commit all that lies in a folder, which becomes a repository where it is none."""
    name = {f"GIT_{who}_{what}": f"a@{who}.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    own = {**os.environ, **name, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "as it is"]):
        subprocess.run(["git", *words], cwd=repository, env=own, check=True)


def present(job: Job, given: Mapping[str, str]) -> None:
    """An action whose work is done: what it sets up is on this machine."""


def storage(folder: Path) -> dict[str, Action]:
    """The actions that keep files of a run outside of it, in a folder: caches by their keys, and artifacts."""

    def save(job: Job, given: Mapping[str, str]) -> None:
        shutil.copytree(job.workspace / given["path"], folder / "cache" / given["key"])

    def restore(job: Job, given: Mapping[str, str]) -> None:
        saved = sorted((folder / "cache").glob("*"), key=lambda path: path.stat().st_ctime_ns)
        for prefix in (given["key"], *given.get("restore-keys", "").split()):
            for path in reversed(saved):
                if path.name.startswith(prefix):
                    shutil.copytree(path, job.workspace / given["path"])
                    return

    def upload(job: Job, given: Mapping[str, str]) -> None:
        for pattern in given["path"].split():
            for path in job.workspace.glob(pattern):
                kept = folder / "artifacts" / given["name"]
                if path.is_dir():
                    shutil.copytree(path, kept, dirs_exist_ok=True)
                else:
                    kept.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, kept)

    def download(job: Job, given: Mapping[str, str]) -> None:
        shutil.copytree(folder / "artifacts" / given["name"], job.workspace / given["path"], dirs_exist_ok=True)

    return {
        "actions/cache/save": save,
        "actions/cache/restore": restore,
        "actions/upload-artifact": upload,
        "actions/download-artifact": download,
    }


def assigned(path: Path) -> Iterator[tuple[str, str]]:
    """The (name, value) lines of a file of the runner: `name=value`, or `name<<END` and lines up to END."""
    lines = iter(path.read_text("utf-8").splitlines())
    for line in lines:
        found = re.fullmatch(r"([^=<]+)(=|<<)(.*)", line)
        assert found is not None, f"{path}: {line!r} is no assignment"
        name, mark, value = found.groups()
        if mark == "<<":
            end = value
            value = "\n".join(iter(lambda: next(lines), end))
        yield name, value
