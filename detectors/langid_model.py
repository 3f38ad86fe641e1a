"""py3langid's model in the layout that the kernels of `detectors.langid` read, kept in the user's cache folder.

Unpacking the library's file takes most of a second and far more memory than the tables, so they are made once and then
mapped: loading costs some milliseconds, and all processes share the pages that they touch. The file lies in
`$XDG_CACHE_HOME/foxing` or `~/.cache/foxing`, some 54 MB, and is named after the digests of the library's model and of
this module. Where it cannot be written the tables are kept in memory; where it is not whole it is made anew.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import mmap
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.content_hash import content_hashes
from detectors.jit import read_only

__all__ = ["FEATURES", "LANES", "PER_NAT", "WIDTH", "Model", "build", "cache_path", "load", "read", "write"]

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
F32 = npt.NDArray[np.float32]

PER_NAT = np.float32(20.0)
"""Units of cost in one natural logarithm."""
FEATURES = 100_352
"""An entry of `Model.moves` is a row times this plus a feature; so many features may be."""
WIDTH = 32
"""Columns of a block of `Model.moves`."""
LANES = 16
_CHUNK = 4096
_ALIGNMENT = 4096
# The rest of the columns are continuation bytes, first bytes of other scripts, and what is rare in text.
_FREQUENT = np.frombuffer(b" etaoinsrhldcumpfgybwv.,kIATS-'0", np.uint8)


@dataclass(frozen=True, eq=False)
class Model:
    """Tables of the automaton and the classifier. All arrays are read-only.

    A row of the automaton stands for all states that go on alike. Features count from 1; 0 stands for none.

    Attributes:
        names: language of each class; two classes may share one (a language in two scripts).
        first_row: where a text starts.
        columns: uint32[256]; of each byte, where its column starts in `moves`.
        moves: uint32[256 * r]; at `columns[byte] + row * WIDTH` the next row, times `FEATURES`, plus the feature found
            on the way there. Blocks of columns, so that the 32 most frequent bytes of all rows lie together.
        costs: uint8[f, c]; how much less likely than in its best class each feature is in each, as a logarithm in units
            of 1/20. Row 0 is of no feature. Classes are padded to a multiple of 16.
        prior: float32[c]; log prior of each class; minus infinity where padded.
        twin: int32[t, 2]; classes that share their language with an earlier one, and which that is.
    """

    names: tuple[str, ...]
    first_row: int
    columns: U32
    moves: U32
    costs: U8
    prior: F32
    twin: I32


_ARRAYS = ("columns", "moves", "costs", "prior", "twin")


@cache
def load() -> Model:
    """The model, once per process: mapped from the cache, and built before when it is not there."""
    source = _source()
    path = cache_path(source)
    model = None if path is None else read(path)
    if model is not None:
        return model
    model = build(source)
    if path is not None:
        # A cache that cannot be written costs time, not the answer.
        with suppress(OSError):
            write(model, path)
            return read(path) or model
    return model


def _source() -> Path:
    found = importlib.util.find_spec("py3langid")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("py3langid: not installed. Install it with `pip install 'py3langid>=0.4,<0.5'`")
    return Path(found.origin).with_name("data") / "model.npz.xz"


def cache_path(source: Path) -> Path | None:
    """Where the tables of the model in the file `source` are kept; None when there is no home folder."""
    digest = hashlib.sha256(source.read_bytes() + Path(__file__).read_bytes())
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return folder / "foxing" / f"langid-{digest.hexdigest()[:16]}.bin"


def build(source: Path) -> Model:
    """Make the tables from the library's file; about a second."""
    from py3langid.modelio import load_model

    likelihoods, prior, names, moves, state_rows, state_features = load_model(source)
    classes = -(-len(names) // LANES) * LANES
    padded = np.full(classes, -np.inf, np.float32)
    padded[: len(names)] = prior
    twin = [(c, names.index(name)) for c, name in enumerate(names) if names.index(name) < c]
    order = np.concatenate([_FREQUENT, np.setdiff1d(np.arange(256, dtype=np.uint8), _FREQUENT)])
    by_byte = np.asarray(moves).reshape(-1, 256)
    to_row, to_feature = np.asarray(state_rows, np.int64), np.asarray(state_features, np.int64)
    if len(by_byte) * FEATURES > 1 << 32 or len(likelihoods) >= FEATURES:
        raise ValueError(f"{source}: a model of {len(by_byte)} rows and {len(likelihoods)} features is too large")
    # What is frequent lies together, so that a cache holds it.
    frequency = _frequency(likelihoods)
    features = np.argsort(-frequency, kind="stable")
    row_frequency = np.bincount(to_row, np.where(to_feature < 0, 0, frequency[to_feature]), len(by_byte))
    rows = np.argsort(-row_frequency, kind="stable")
    to_row = np.argsort(rows)[to_row]
    to_feature = np.where(to_feature < 0, 0, np.argsort(features)[to_feature] + 1)
    entries = (to_row * FEATURES + to_feature).astype(np.uint32)
    table = np.empty((256 // WIDTH, len(by_byte), WIDTH), np.uint32)
    for first in range(0, len(by_byte), _CHUNK):
        part = entries[by_byte[rows[first : first + _CHUNK, np.newaxis], order]]
        table[:, first : first + _CHUNK] = part.reshape(-1, 256 // WIDTH, WIDTH).swapaxes(0, 1)
    place = np.argsort(order).astype(np.uint32)
    columns = place // WIDTH * np.uint32(len(by_byte) * WIDTH) + place % WIDTH
    return Model(
        tuple(names),
        int(to_row[0]),
        read_only(columns.astype(np.uint32)),
        read_only(table.reshape(-1)),
        read_only(_costs(likelihoods[features], classes)),
        read_only(padded),
        read_only(np.array(twin, np.int32).reshape(-1, 2)),
    )


def _frequency(likelihoods: npt.NDArray[np.float16]) -> npt.NDArray[np.float64]:
    """float64[f]: of each feature, over all classes alike."""
    sums = np.empty(len(likelihoods))
    for first in range(0, len(likelihoods), _CHUNK):
        sums[first : first + _CHUNK] = np.exp(likelihoods[first : first + _CHUNK].astype(np.float32)).sum(axis=1)
    return sums


def _costs(likelihoods: npt.NDArray[np.float16], classes: int) -> U8:
    costs = np.zeros((len(likelihoods) + 1, classes), np.uint8)
    for first in range(0, len(likelihoods), _CHUNK):
        part = likelihoods[first : first + _CHUNK].astype(np.float32)
        part = (part.max(axis=1, keepdims=True) - part) * PER_NAT
        costs[1 + first : 1 + first + len(part), : part.shape[1]] = np.minimum(np.rint(part), 255)
    return costs


def write(model: Model, path: Path) -> None:
    """Write the tables to a file, all or nothing.

    Raises:
        OSError: when the file cannot be written.
    """
    header: dict[str, object] = {"names": model.names, "first_row": model.first_row}
    body = bytearray()
    for name in _ARRAYS:
        array = getattr(model, name)
        header[name] = [len(body), str(array.dtype), array.shape]
        body += array.tobytes() + bytes(-array.nbytes % _ALIGNMENT)
    header["hash"] = _hash(np.frombuffer(body, np.uint8))
    head = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, suffix=".part", delete=False) as file:
        try:
            file.write(head + b" " * (_ALIGNMENT - len(head)))
            file.write(body)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def read(path: Path) -> Model | None:
    """Map the tables of a file into memory; None when there is none or it is not what was written."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        header = json.loads(mapped[:_ALIGNMENT])
        body = np.frombuffer(mapped, np.uint8, offset=_ALIGNMENT)
        if header["hash"] != _hash(body):
            return None
        arrays = {name: _array(body, *header[name]) for name in _ARRAYS}
        return Model(tuple(header["names"]), int(header["first_row"]), **arrays)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _array(body: U8, offset: int, kind: str, shape: list[int]) -> npt.NDArray[Any]:
    dtype = np.dtype(kind)
    size = int(np.prod(shape)) * dtype.itemsize
    return read_only(body[offset : offset + size].view(dtype).reshape(shape))


def _hash(body: U8) -> str:
    return f"{int(content_hashes(body, np.array([0, len(body)], np.int64))[0]):016x}"
