"""The bundled linear model: files beside this module, verified on load, and the margin they give a document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.ai_text.features import SCRIPTS, STATS, Emission, Tables
from detectors.errors import SignalError

__all__ = ["DENSE", "FORMAT", "MODEL_DIR", "FastModel", "dense", "load_model", "read_arrays", "write_files"]

FORMAT = 1
"""Version of the file layout; the loader refuses any other."""

MODEL_DIR = Path(__file__).parent
_CHECKSUMS = "model.json"

DENSE = (
    "mean word length",
    "commas per word",
    "full stops per word",
    "question marks per word",
    "exclamation marks per word",
    "colons per word",
    "semicolons per word",
    "parentheses per word",
    "quotes per word",
    "apostrophes per word",
    "numbers per word",
    "capitals per letter",
    "log words per sentence",
    "variation of sentence length",
    "distinct words, Herdan's C",
    "share of common words",
    "distinct n-grams per character",
)
"""Style features: rates and ratios that do not grow with length, clipped to three standard deviations."""

_UNSPACED = tuple(SCRIPTS.index(name) for name in ("han", "kana", "thai"))


def _column(stats: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
    return stats[:, STATS.index(name)]


def dense(emission: Emission) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Style features float64[n, len(DENSE)] and the row of the scaling table that applies: 1 for unspaced scripts."""
    stats, windows = emission.stats, emission.windows.astype(np.float64)
    words = np.maximum(_column(stats, "words"), 1.0)
    sentences = np.maximum(_column(stats, "sentences"), 1.0)
    mean = words / sentences
    variance = np.maximum(_column(stats, "sentence_words_squared") / sentences - mean**2, 0.0)
    per_word = [
        _column(stats, name) / words
        for name in (
            "word_letters",
            "comma",
            "stop",
            "question",
            "exclamation",
            "colon",
            "semicolon",
            "parenthesis",
            "quote",
            "apostrophe",
            "number",
        )
    ]
    features = np.stack(
        [
            *per_word,
            _column(stats, "upper") / np.maximum(_column(stats, "letters"), 1.0),
            np.log(mean),
            np.sqrt(variance) / mean,
            np.log(_column(stats, "new_words") / windows + 1.0) / np.log(words / windows + 1.0001),
            _column(stats, "common_words") / words,
            np.log(emission.counts / windows + 1.0) - np.log(_column(stats, "visible") / windows + 1.0),
        ],
        axis=1,
    )
    scripts = emission.scripts
    unspaced = scripts[:, _UNSPACED].sum(axis=1) * 2 > scripts.sum(axis=1)
    return features, unspaced.astype(np.int64)


@dataclass(frozen=True)
class FastModel:
    """int8 weights over hashed n-grams plus a few style features.

    Attributes:
        tables: kernel tables, with the weights.
        scale: margin of one unit of weight.
        bias: margin of a document without features.
        dense_weights: float64[len(DENSE)], after scaling.
        dense_mean: float64[2, len(DENSE)] and
        dense_deviation: float64[2, len(DENSE)], for spaced and unspaced scripts.
    """

    tables: Tables
    scale: float
    bias: float
    dense_weights: npt.NDArray[np.float64]
    dense_mean: npt.NDArray[np.float64]
    dense_deviation: npt.NDArray[np.float64]

    def margins(self, emission: Emission) -> npt.NDArray[np.float64]:
        """float64[n]: raw margin, higher is more machine-like; 0 is even odds on the training mix, see the card."""
        result = emission.sums * self.scale + self.bias
        for column, weight in zip(self.standardised(emission).T, self.dense_weights, strict=True):
            result = result + column * weight  # in this order, so that no batch size changes a bit
        return result

    def standardised(self, emission: Emission) -> npt.NDArray[np.float64]:
        """float64[n, len(DENSE)]: style features in standard deviations of their kind of script, clipped to +-3."""
        features, row = dense(emission)
        return np.clip((features - self.dense_mean[row]) / self.dense_deviation[row], -3.0, 3.0)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The model as named arrays, for `write_files`."""
        return {
            "fold": self.tables.fold,
            "common": self.tables.common,
            "lexicon": self.tables.lexicon,
            "weights": self.tables.weights,
            "groups": np.array(self.tables.groups),
            "languages": np.array(self.tables.languages),
            "scale": np.array(self.scale),
            "bias": np.array(self.bias),
            "dense_weights": self.dense_weights,
            "dense_mean": self.dense_mean,
            "dense_deviation": self.dense_deviation,
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
    arrays, _ = read_arrays(directory, "fast.npz")
    tables = Tables(
        fold=arrays["fold"].astype(np.uint32),
        common=arrays["common"].astype(np.uint8),
        lexicon=arrays["lexicon"].astype(np.uint64),
        weights=arrays["weights"].astype(np.int8),
        groups=int(arrays["groups"].item()),
        languages=int(arrays["languages"].item()),
    )
    return FastModel(
        tables=tables,
        scale=float(arrays["scale"].item()),
        bias=float(arrays["bias"].item()),
        dense_weights=arrays["dense_weights"].astype(np.float64),
        dense_mean=arrays["dense_mean"].astype(np.float64),
        dense_deviation=arrays["dense_deviation"].astype(np.float64),
    )
