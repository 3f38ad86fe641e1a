"""The code blocks of the documents, and how a test runs those of one page as a reader would type them."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from curricula.cli import COMMANDS, foxing

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("foxing", "python", "python3", "pip", "make", "sh")


@dataclass(frozen=True)
class Block:
    """One block of a document: fenced, with its language, or indented by four spaces after an empty line."""

    document: str
    line: int
    language: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def commands(self) -> tuple[str, ...]:
        """Its command lines, remarks (` # ...`) cut off; none when it is not made of commands alone."""
        said = [re.sub(r"\s+# .*$", "", line).strip() for line in self.text.replace("\\\n", " ").splitlines()]
        said = [line for line in said if line and not line.startswith("# ")]
        return tuple(said) if all(line.split()[0] in PROGRAMS for line in said) else ()


def blocks(document: str) -> Iterator[Block]:
    """Every block of a document, in order.

    Args:
        document: path from the root of the project.
    """
    lines = (ROOT / document).read_text("utf-8").splitlines()
    at = 0
    while at < len(lines):
        fence = re.match(r"( *)```(\w*)$", lines[at])
        if fence:
            end = next(row for row in range(at + 1, len(lines)) if lines[row] == f"{fence[1]}```")
            inside = tuple(line.removeprefix(fence[1]) for line in lines[at + 1 : end])
            yield Block(document, at + 1, fence[2] or "text", inside)
            at = end + 1
        elif lines[at].startswith("    ") and (not at or not lines[at - 1].strip() or lines[at - 1].endswith("-->")):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield Block(document, at + 1, "", tuple("\n".join(line[4:] for line in lines[at:end]).rstrip().split("\n")))
            at = end
        else:
            at += 1


def quoted(document: str) -> Iterator[tuple[int, str]]:
    """Command lines of foxing in back-quotes outside blocks that lack nothing, with the lines they begin in."""
    lines = (ROOT / document).read_text("utf-8").splitlines()
    for block in blocks(document):
        size = len(block.lines) + (2 if block.language else 0)
        lines[block.line - 1 : block.line - 1 + size] = [""] * size
    text = "\n".join(lines)
    for found in re.finditer(r"`(foxing [^`]+)`", text):
        line = " ".join(found[1].split())
        if _whole(shlex.split(line)[1:]):
            yield text.count("\n", 0, found.start()) + 1, line


def _whole(words: Sequence[str]) -> bool:
    """Whether words are a command with all that it requires, and none of them (`DIR`) stands for another."""
    if words[0] not in COMMANDS or any(re.fullmatch(r"[A-Z,/]+|\.\.\.", word) for word in words):
        return False
    command = foxing.get_command(click.Context(foxing), words[0])
    assert command is not None
    try:
        found = command.make_parser(click.Context(command, **command.context_settings)).parse_args(list(words[1:]))[0]
    except click.UsageError:
        return False
    given = (found.get(str(each.name)) for each in command.params if each.required)
    return all(isinstance(value, str | tuple | list) and value for value in given)


def command_lines(document: str) -> list[str]:
    """The command lines of a document in the order of its text, those of blocks and those in back-quotes, each once."""
    said = [(block.line, line) for block in blocks(document) for line in block.commands]
    return list(dict.fromkeys(line for _, line in sorted([*said, *quoted(document)], key=lambda one: one[0])))


def is_test(name: str) -> bool:
    """Whether there is a test of that name: `tests/test_docs.py::test_it`."""
    path, _, function = name.partition("::")
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in ast.walk(tree))


@dataclass
class Page:
    """The command lines of one document, run in order in one folder.

    Attributes:
        document: path from the root of the project.
        foxing: the fixture that runs a command line in this process.
        instead: what is typed in place of a word that only the reader can fill in (`MODEL`, `s3://bucket`).
        exits: exit code of a command line as written, where it is not 0.
        more: words added to each command of a name, to make it cheaper: `{"scan": ["--workers", "1"]}`.
        before: what happens in the story before a command line is typed.
        elsewhere: command lines that another test runs, with its name.
        said: what each command line printed, output and errors together.
    """

    document: str
    foxing: Callable[..., Any]
    instead: Mapping[str, str] = field(default_factory=dict)
    exits: Mapping[str, int] = field(default_factory=dict)
    more: Mapping[str, Sequence[str]] = field(default_factory=dict)
    before: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Type all command lines of the document in order.

        Raises:
            AssertionError: one ended with another code, or what is said of one is about none.
        """
        lines = command_lines(self.document)
        unknown = {*self.exits, *self.before, *self.elsewhere} - set(lines)
        assert not unknown, f"{self.document} has no line {', '.join(unknown)}"
        assert all(is_test(test) for test in self.elsewhere.values()), self.elsewhere
        for line in lines:
            if line not in self.elsewhere:
                self.before.get(line, tuple)()
                self.type(line)

    def type(self, line: str) -> None:
        """Run one command line in the folder that the process is in.

        Raises:
            AssertionError: it ended with another code than the document lets one expect.
        """
        typed = line
        for word, there in self.instead.items():
            typed = typed.replace(word, there)
        program, *words = shlex.split(typed)
        if program == "foxing":
            done = self.foxing(*words, *self.more.get(words[0], ()), settings=True)
            code, said = done.code, done.out + done.err
        else:
            command = [sys.executable, *words] if program in ("python", "python3") else [program, *words]
            ended = subprocess.run(command, capture_output=True, text=True)
            code, said = ended.returncode, ended.stdout + ended.stderr
        # Whether something is in the way of foxing depends on the machine.
        fine = (0, 1) if line == "foxing doctor" else (self.exits.get(line, 0),)
        assert code in fine, f"{self.document}: {line}\nended with {code}:\n{said}"
        self.said[line] = said
