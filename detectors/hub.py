"""Where a model lies that a user names: a folder, a file, or an id on the Hugging Face hub; and a digest of what it is.

The network is used for one thing only: to fetch a model whose hub id (`owner/name`) somebody wrote, when it is not
cached yet and HF_HUB_OFFLINE is not set. Code that comes with a model is never run.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from detectors.errors import MissingExtraError, SignalError
from detectors.packaged_models import PACKAGED, packaged_file

__all__ = ["digest_of", "is_offline", "located"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model", "*.onnx", "*.onnx_data", "*.gguf")
_NOT_MODEL = (".md", ".py", ".lock", ".png", ".jpg", ".pdf", ".html")
_CHUNK = 1 << 22


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids the network."""
    return any(
        os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


def located(name: str, setting: str) -> Path:
    """The folder or file of a model.

    Args:
        name: path, hub id `owner/name`, or short name of a model in a package (`detectors.packaged_models`). What
            exists is a path; so is what lies in a folder that exists.
        setting: what `name` was given as, for messages.

    Raises:
        SignalError: no such path, or a hub id that cannot be fetched.
        MissingExtraError: a hub id, and huggingface_hub is not installed.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    if name in PACKAGED:
        return packaged_file(name, setting)
    if not _HUB_ID.fullmatch(name) or path.parent.is_dir():
        raise SignalError(f"{setting} = {name!r}: no such file or folder. Name one, or a hub id such as owner/name.")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "lm") from error
    try:
        # What is cached is taken as it is: a run never gets another revision half-way, and workers need no network.
        with suppress(LocalEntryNotFoundError):
            return Path(snapshot_download(name, allow_patterns=list(_PATTERNS), local_files_only=True))
        if is_offline():
            raise SignalError(f"{setting} = {name!r}: HF_HUB_OFFLINE is set and it is not cached. Name a folder.")
        return Path(snapshot_download(name, allow_patterns=list(_PATTERNS)))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise SignalError(f"{setting} = {name!r}: {reason}. Check the id, or name a folder.") from error


def digest_of(path: Path) -> str:
    """SHA-256, in hex, of a file, or of the names and contents of the files right in a folder.

    Hidden files, documents and code do not count: no number depends on them.

    Raises:
        SignalError: nothing there that could be a model.
    """
    if path.is_file():
        return _file_digest(path)
    files = [
        found
        for found in sorted(path.iterdir())
        if found.is_file() and not found.name.startswith(".") and found.suffix.lower() not in _NOT_MODEL
    ]
    if not files:
        raise SignalError(f"{path}: holds no model files. Name the folder that has config.json or an .onnx file.")
    lines = [f"{_file_digest(found)} {found.name}" for found in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
