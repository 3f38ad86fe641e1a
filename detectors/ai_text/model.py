"""The bundled linear model: files beside this module, verified on load, and the margin they give a document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from detectors.errors import SignalError

if TYPE_CHECKING:
    from detectors.ai_text.features import Tables

__all__ = ["FORMAT", "MODEL_DIR", "FastModel", "load_model", "read_arrays", "write_files"]

FORMAT = 3
"""Version of the file layout; the loader refuses any other."""

MODEL_DIR = Path(__file__).parent
_CHECKSUMS = "model.json"


@dataclass(frozen=True)
class FastModel:
    """int8 weights over hashed patterns of words and marks.

    Attributes:
        tables: kernel tables, with the weights.
        scale: margin of one unit of weight.
        bias: margin of a document without features.
    """

    tables: Tables
    scale: float
    bias: float

    def margins(self, sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """float64[n]: raw margins of sums of windows or documents, higher is more machine-like; 0 is the boundary."""
        result: npt.NDArray[np.float64] = sums * self.scale + self.bias
        return result

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The model as named arrays, for `write_files`."""
        return {
            "fold": self.tables.fold,
            "common": self.tables.common,
            "weights": self.tables.weights,
            "scale": np.array(self.scale),
            "bias": np.array(self.bias),
        }


def write_files(directory: Path, files: Mapping[str, Mapping[str, npt.NDArray[np.generic]]]) -> None:
    """Write each mapping of arrays as a compressed NPZ and record their SHA-256 in model.json, written last."""
    directory.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name, arrays in files.items():
        path = directory / name
        with path.open("wb") as handle:
            np.savez_compressed(handle, allow_pickle=False, **arrays)
        digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    record = {"format": FORMAT, "sha256": digests}
    (directory / _CHECKSUMS).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")


def read_arrays(directory: Path, name: str) -> tuple[dict[str, npt.NDArray[np.generic]], str]:
    """Read one NPZ file after checking it against model.json; returns its arrays and its SHA-256.

    Raises:
        SignalError: a file that is missing, of another format or not the one that model.json describes.
    """
    path, listed = directory / name, directory / _CHECKSUMS
    remedy = "Reinstall foxing, or write the folder again with python -m curricula.train_detector."
    try:
        record = json.loads(listed.read_text())
        content = path.read_bytes()
    except OSError as error:
        raise SignalError(f"{error.filename}: cannot be read ({error.strerror}). {remedy}") from error
    except ValueError as error:
        raise SignalError(f"{listed}: not JSON ({error}). {remedy}") from error
    if record.get("format") != FORMAT:
        raise SignalError(f"{listed}: format {record.get('format')!r}, this version reads {FORMAT}. {remedy}")
    digest, expected = hashlib.sha256(content).hexdigest(), record["sha256"].get(name)
    if digest != expected:
        raise SignalError(f"{path}: SHA-256 {digest[:12]}..., model.json says {str(expected)[:12]}.... {remedy}")
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}, digest


def load_model(directory: Path = MODEL_DIR) -> FastModel:
    """Load the bundled model, or one that `curricula.train_detector` wrote to `directory`.

    Raises:
        SignalError: see `read_arrays`.
    """
    from detectors.ai_text.features import Tables

    arrays, _ = read_arrays(directory, "fast.npz")
    tables = Tables(
        fold=arrays["fold"].astype(np.uint32),
        common=arrays["common"].astype(np.uint64),
        weights=arrays["weights"].astype(np.uint16),
    )
    return FastModel(tables=tables, scale=float(arrays["scale"].item()), bias=float(arrays["bias"].item()))
