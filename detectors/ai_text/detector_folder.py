"""The folder that `foxing train-detector` writes: models, tokenizer, card, and a record with a digest of each file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from detectors.errors import SignalError

__all__ = ["DETECTOR_FILE", "FORMAT", "DetectorRecord", "is_detector", "read_detector", "write_detector"]

DETECTOR_FILE = "detector.json"
"""Written last: a folder that has it is whole."""
FORMAT = 1


@dataclass(frozen=True)
class DetectorRecord:
    """What `detector.json` says.

    Attributes:
        base: name of the model that was fine-tuned.
        labels: label of each output.
        machine: numbers of those that mean machine-written.
        max_tokens: of a window, with its marks.
        pad: id of padding.
        onnx: precision to file name, of the graphs that agree with the trained model.
        sha256: file name to SHA-256, in hex, of every other file.
    """

    base: str
    labels: tuple[str, ...]
    machine: tuple[int, ...]
    max_tokens: int
    pad: int
    onnx: Mapping[str, str]
    sha256: Mapping[str, str] = field(default_factory=dict)


def write_detector(folder: Path, record: DetectorRecord) -> None:
    """Write the record of a folder whose other files are in place, with their digests."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != DETECTOR_FILE)
    content = {"format": FORMAT, **asdict(record), "sha256": {path.name: _sha256(path) for path in files}}
    temporary = folder / f".{DETECTOR_FILE}.tmp"
    temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")
    temporary.replace(folder / DETECTOR_FILE)


def is_detector(path: Path) -> bool:
    """Whether a folder is one that `foxing train-detector` wrote."""
    return (path / DETECTOR_FILE).is_file()


def read_detector(folder: Path) -> DetectorRecord:
    """The record of a folder that `foxing train-detector` wrote, every file of it checked.

    Raises:
        SignalError: not such a folder, another format, or a file that is missing or changed.
    """
    remedy = "Write the folder again with foxing train-detector."
    try:
        content = json.loads((folder / DETECTOR_FILE).read_text("utf-8"))
        version = content.pop("format", None)
    except FileNotFoundError as error:
        raise SignalError(
            f"{folder}: no {DETECTOR_FILE}, so foxing train-detector did not write it. "
            'Set tier = "custom" for other classifiers.'
        ) from error
    except (OSError, ValueError, AttributeError) as error:
        raise SignalError(f"{folder / DETECTOR_FILE}: cannot be read ({error}). {remedy}") from error
    if version != FORMAT:
        raise SignalError(f"{folder / DETECTOR_FILE}: format {version!r}, this version reads {FORMAT}. {remedy}")
    try:
        record = DetectorRecord(**{**content, **{name: tuple(content[name]) for name in ("labels", "machine")}})
    except (TypeError, KeyError) as error:
        raise SignalError(f"{folder / DETECTOR_FILE}: is damaged ({error}). {remedy}") from error
    for name, expected in record.sha256.items():
        path = folder / name
        try:
            found = _sha256(path)
        except OSError as error:
            raise SignalError(f"{path}: cannot be read ({error.strerror}). {remedy}") from error
        if found != expected:
            raise SignalError(f"{path}: SHA-256 {found[:12]}..., {DETECTOR_FILE} says {expected[:12]}.... {remedy}")
    return record


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
