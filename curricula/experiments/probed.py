"""How well a language model knows the facts that an experiment drew, before it is tuned."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curricula.experiments.facts import Drawn
from curricula.experiments.toy import Known
from detectors.documents import Documents
from detectors.errors import InputError
from detectors.knowledge import Knowledge
from detectors.protocols import Device

__all__ = ["categories_of"]

I64 = npt.NDArray[np.int64]
_CODES = {
    "Unknown": Known.UNKNOWN,
    "WeaklyKnown": Known.WEAKLY,
    "MaybeKnown": Known.MAYBE,
    "HighlyKnown": Known.HIGHLY,
}
_AT_ONCE = 1024


def categories_of(split: Drawn, model: str, device: Device, *, sets: int, shots: int, seed: int) -> tuple[I64, I64]:
    """`Known` of every fact, int64[F]: as the paper has it, and corrected for chance.

    Raises:
        InputError: facts that do not fit into the model's context, or none that it knows, or none that it does not.
    """
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        pool.write_bytes(split.pool.to_bytes())
        measure = Knowledge(model=model, pool=str(pool), sets=sets, shots=shots, seed=seed).load(device)
    strict: list[str | None] = []
    corrected: list[str | None] = []
    for start in range(0, len(split.facts), _AT_ONCE):
        found = measure(_documents(split, start))
        strict += found.column("category").to_pylist()
        corrected += found.column("corrected").to_pylist()
    codes = [np.array([_CODES.get(label or "", -1) for label in each], np.int64) for each in (strict, corrected)]
    if (codes[0] < 0).any():
        raise InputError(f"{model}: some facts do not fit into its context. Name another model with --model.")
    known = codes[0] > Known.UNKNOWN
    if known.all() or not known.any():
        raise InputError(
            f"{model}: knows {'all' if known.all() else 'none'} of the {len(known):,} facts, so there is nothing to "
            "compare. Name another model with --model, or other facts with --data."
        )
    return codes[0], codes[1]


def _documents(split: Drawn, start: int) -> Documents:
    facts = split.facts[start : start + _AT_ONCE]
    columns = {
        "text": pa.array([fact.text for fact in facts], pa.large_string()),
        "column:question": pa.array([fact.text for fact in facts]),
        "column:answers": pa.array([list(fact.answers) for fact in facts]),
        "column:relation": pa.array([fact.relation for fact in facts]),
    }
    return Documents(pa.record_batch(columns))
