"""What is installed is what constraints.txt names, so an audit of that file is an audit of what runs."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parent.parent
PINNED = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE))


def _installed(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def test_what_is_installed_is_what_was_pinned() -> None:
    found = {name: _installed(name) for name in PINNED}
    assert sum(each is not None for each in found.values()) > 20
    others = {name: each for name, each in found.items() if each not in (None, PINNED[name].partition("+")[0])}
    assert others == {}, "Run make test: it installs what constraints.txt names."


def test_the_audit_of_dependencies_reads_the_pinned_versions() -> None:
    workflow = (ROOT / ".github" / "workflows" / "dependencies.yml").read_text("utf-8")
    assert "pip-audit --strict --no-deps --disable-pip --requirement constraints.txt" in workflow
