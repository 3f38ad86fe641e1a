"""The tutorial, the how-tos and the reference tell the truth: blocks run, tables are those of code and results."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curricula.cli import COMMANDS
from tests.corpora import texts

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GUIDES = ("adapters", "api", "faq", "index", "metrics", "peers", "reference", "tutorial")
# What the text says of these commands; all others exit with 0.
EXITS = {"foxing check out/audit": 1, "--dry-run": 2}


def read(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def lines_of_code(text: str) -> Iterator[str]:
    """Indented command lines, outside fences, in order."""
    for line in re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE).splitlines():
        if re.match(r"    (foxing|python3?|venv/bin|\.) ", line):
            yield line.strip()


def expected(line: str) -> int:
    return next((code for words, code in EXITS.items() if line == words or line.endswith(words)), 0)


def made_by(script: str) -> str:
    """What a script of samples makes of the documents, without touching them."""
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT / "samples", capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Where `foxing` and `python` are those of this run, and no settings file is looked for in a parent folder."""
    bin_folder = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([bin_folder, os.environ["PATH"]]), "PYTHONPATH": str(ROOT)}


def test_the_tutorial_runs_from_its_text_alone(
    tmp_path: Path, foxing: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = read("tutorial")
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    commands = [line for line in lines_of_code(text) if line.startswith(("foxing ", "python "))]
    assert len(commands) == 13
    said = {}
    for line in commands:
        program, *words = shlex.split(line)
        if program == "python":
            subprocess.run([sys.executable, *words], check=True)
            continue
        done = foxing(*words, *(["--workers", "1"] if words[0] == "scan" else []))
        assert done.code == expected(line) or (words == ["doctor"] and done.code == 1), f"{line}\n{done}"
        said[line] = done.out + done.err
    assert re.search(r"^FX101  machine-written    over ", said["foxing check out/audit"], re.MULTILINE)
    assert "content_farm" in next(text for line, text in said.items() if "--dry-run" in line)
    assert (tmp_path / "out" / "report.html").stat().st_size > 20_000
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(example, "docs/tutorial.md", "exec"), {})
    assert "FX101" in capsys.readouterr().out
    if sys.version_info[:2] == (3, 11):
        shown = [line.strip() for line in text.splitlines() if re.match(r"    (rule|FX101) ", line)]
        assert len(shown) == 2 and all(line in said["foxing check out/audit"] for line in shown)


def test_adapters_run_from_their_text_alone(
    tmp_path: Path, environment: dict[str, str], foxing: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("datatrove", "datasets"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'foxing[test]'")
    import gzip

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [*texts(5), "As an AI language model, I cannot help with that. " * 8]
    (tmp_path / "in").mkdir()
    ids = [str(row) for row in range(len(rows))]
    pq.write_table(pa.table({"id": ids, "text": rows}), tmp_path / "in" / "a.parquet")
    for folder, column in (("documents", "text"), ("attributes/toxicity", "attributes")):
        (tmp_path / folder).mkdir(parents=True)
        values: list[object] = list(rows) if column == "text" else [{"toxicity": 0.1}] * len(rows)
        lines = [json.dumps({"id": row, column: value}) + "\n" for row, value in zip(ids, values, strict=True)]
        (tmp_path / folder / "a.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))
    text = read("adapters")
    (settings,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "given.toml").write_text(settings, "utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    apart = {**environment, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    script = "\n".join(blocks)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=apart, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "dropped").glob("*.parquet"))) == len(list((tmp_path / "out").glob("*.parquet"))) == 1
    monkeypatch.chdir(tmp_path)
    assert foxing("scan", "documents", "-o", "audit", "--workers", "1").code == 0
    commands = list(lines_of_code(text))
    assert len(commands) == 2
    for line in commands:
        _, command, *words = shlex.split(line)
        one = foxing(command, *words, *(["--workers", "1"] if command == "scan" else []), settings="--config" in words)
        assert one.code == 0, f"{line}\n{one}"
    assert (tmp_path / "attributes" / "foxing" / "a.jsonl.gz").exists()


def test_reference_is_what_the_code_says() -> None:
    assert made_by("import reference; print(reference.reference(), end='')") == read("reference"), (
        "run: python samples/reference.py"
    )


def test_reference_has_every_command_and_option() -> None:
    text = read("reference")
    assert [name for name in re.findall(r"^### (\S+)$", text, re.MULTILINE) if name in COMMANDS] == list(COMMANDS)
    assert "`--error-rate`" in text and "| `diversity.mtld` |" in text and "| `human-first` |" in text


def test_tables_of_peers_are_those_of_the_results() -> None:
    script = "import peer_tables as p; print(p.filled(p.TARGET.read_text('utf-8')), end='')"
    assert made_by(script) == read("peers"), "run: python samples/peer_tables.py"


def test_metrics_name_fields_and_rules_that_exist() -> None:
    import audit.rulebook
    from detectors.registry import SIGNALS, STAGES, load, names

    text = read("metrics")
    kinds = [load(group, name) for group in (SIGNALS, STAGES) for name in names(group)]
    fields = {f"{kind.name}.{field.name}" for kind in kinds if isinstance(kind, type) for field in kind().schema}
    named = set(
        re.findall(
            r"`((?:residue|near_dup|duplicates|leakage|format|templates|knowledge|falsity|contradictions)\.\w+)`", text
        )
    )
    spoken = set(re.findall(r"`(\w+)[`.]", text))
    ours = {
        kind.name for kind in kinds if isinstance(kind, type) and kind.__module__.startswith(("detectors.", "audit."))
    }
    assert ours <= spoken, ours - spoken
    of_words = {field.name for field in load(SIGNALS, "diversity")().schema} - {"words"}
    ranges = [re.match(r"(\D+)(\d+)(\w*)` to `\1(\d+)\3", found) for found in re.findall(r"\w+` to `\w+", text)]
    spoken |= {f"{one[1]}{n}{one[3]}" for one in ranges if one for n in range(int(one[2]), int(one[4]) + 1)}
    assert of_words <= spoken, of_words - spoken
    assert len(named) > 8 and named <= fields
    rules = {rule.id[: len(found)] for rule in audit.rulebook.DEFAULTS for found in ("FX1", "FX101")}
    assert set(re.findall(r"\bFX\d{1,3}\b", text)) <= rules


@pytest.mark.parametrize("name", GUIDES)
def test_every_anchor_leads_to_a_heading(name: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", read(name)):
        path = (DOCS / target).resolve() if target else DOCS / f"{name}.md"
        headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, f"{name}.md: {target}#{anchor}"


def test_index_leads_to_every_document() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", read("index")))
    assert {path.name for path in DOCS.glob("*.md")} - {"index.md"} == linked


COMPLETIONS = pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["foxing", "sc"], "scan"),
        (["foxing", "scan", "--sig"], "--signals"),
        (["foxing", "report", "x", "--format", "ma"], "markdown"),
        (["foxing", "scan", "pag"], "pages.jsonl"),
    ],
)


def completion(shell: str) -> str:
    """The line that the tutorial gives for a shell; the test is skipped where that shell is not installed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: apt-get install {shell}")
    (block,) = re.findall(rf"```{shell}\n(.*?)```", read("tutorial"), re.DOTALL)
    assert block.count("\n") == 1, "one line for each shell"
    return str(block)


def write_completable(folder: Path) -> None:
    """A file, and settings with a rule of one's own."""
    (folder / "pages.jsonl").touch()
    (folder / "foxing.toml").write_text('[rule.MY101]\nname = "shouted"\nwhen = "document.characters > 9"\n')


@COMPLETIONS
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_options_choices_names_and_files(
    shell: str, words: list[str], wanted: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """At a terminal: the line is typed, then the tabulator, then a key that writes down what stands there by now."""
    settings = {
        "bash": f'{completion("bash")}bind -x \'"\\C-t": echo "$READLINE_LINE" > line; exit\'\n',
        "zsh": f"autoload -Uz compinit && compinit -u\n{completion('zsh')}"
        "tell() { print -r -- $BUFFER > line; exit }\nzle -N tell\nbindkey '^T' tell\n",
    }
    write_completable(tmp_path)
    (tmp_path / ".zshrc").write_text(settings[shell], "utf-8")
    start = {"bash": ["bash", "--rcfile", ".zshrc", "-i"], "zsh": ["zsh", "-i"]}
    own = {**environment, "ZDOTDIR": str(tmp_path), "HOME": str(tmp_path), "TERM": "dumb"}
    typing, terminal = pty.openpty()
    done = subprocess.Popen(
        ["timeout", "--foreground", "120", *start[shell]],
        cwd=tmp_path,
        env=own,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    os.write(typing, f"{shlex.join(words)}\t\x14".encode())
    said = b""
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while chunk := os.read(typing, 4096):
            said += chunk
    os.close(typing)
    assert done.wait() == 0, said
    assert (tmp_path / "line").read_text("utf-8") == shlex.join([*words[:-1], wanted]) + " \n", said


@COMPLETIONS
def test_fish_completes_commands_options_choices_names_and_files(
    words: list[str], wanted: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """By the command that fish itself asks when the tabulator is pressed."""
    write_completable(tmp_path)
    script = completion("fish") + f"complete --do-complete {shlex.quote(shlex.join(words))}\n"
    own = {**environment, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(["fish", "-c", script], cwd=tmp_path, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {line.partition("\t")[0] for line in done.stdout.splitlines() if line} == {wanted}, done.stdout
