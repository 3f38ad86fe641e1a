"""The user's own reference: how margins of their human text are spread, by group, in a small versioned JSON file.

A p-value from it is the exact upper 95 % bound (Clopper and Pearson 1934) of the share of that group's human text at or
above a margin. So for any rate a, flagging `p_human <= a` has a false-positive rate of at most a in text like it with
95 % confidence: the threshold is an order statistic. The file holds numbers only, and names the model they are of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.replacing import replacing
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Names = npt.NDArray[np.str_]

__all__ = [
    "EVERYTHING",
    "FORMAT",
    "GroupTable",
    "Model",
    "OwnReference",
    "group_table",
    "is_reference",
    "read_reference",
]

FORMAT = 1
"""Version of the file; no other is read."""

EVERYTHING = "*"
"""Name of the only group of a reference that was made without groups: it stands for every row."""

_KIND = "foxing-reference"
_POINTS = 150
_DIGITS = 1e6
_SLACK = 1e-9


@dataclass(frozen=True)
class Model:
    """What margins are of; those of one model mean nothing for another.

    Attributes:
        version: of the `ai_text` signal.
        tier: name of the model, as the `tier` column has it.
        weights: digest of the bundled weights where they gave the margins, else empty: `tier` then names them.
        adjustment: digest of the calibration that adjusted the margins for language and style; empty for raw margins.
    """

    version: int
    tier: str
    weights: str
    adjustment: str


@dataclass(frozen=True)
class GroupTable:
    """How margins of the human text of one group are spread.

    Attributes:
        n: documents.
        above: margins, ascending: a document strictly above one of them has
        p_human: at most the value that stands at the same place, descending.
    """

    n: int
    above: tuple[float, ...]
    p_human: tuple[float, ...]


@dataclass(frozen=True)
class OwnReference:
    """A user's reference.

    Attributes:
        model: that its margins are of.
        by: column that the groups are values of; None where there is one group, `EVERYTHING`.
        groups: table of each.
        corpus: hash of the text that it was made of.
        digest: 32 hex digits of the file's SHA-256, for signatures.
    """

    model: Model
    by: str | None
    groups: Mapping[str, GroupTable]
    corpus: str
    digest: str = ""

    def p_human(self, margin: Floats, group: Names) -> npt.NDArray[np.float64]:
        """float64[n]: p-value of each margin in its group, NaN where there is no margin or no such group."""
        import numpy as np

        found = np.full(len(margin), np.nan)
        for name, table in self.groups.items():
            rows = np.flatnonzero(~np.isnan(margin) & ((group == name) | (name == EVERYTHING)))
            place = np.searchsorted(np.array(table.above), margin[rows], side="left")
            found[rows] = np.concatenate([[1.0], table.p_human])[place]
        return found

    def write(self, path: Path) -> None:
        """Write the file, complete or not at all."""
        with replacing(path) as stream:
            stream.write(self._content())

    def _content(self) -> bytes:
        groups = {
            name: {"n": table.n, "above": list(table.above), "p_human": list(table.p_human)}
            for name, table in sorted(self.groups.items())
        }
        model = {name: getattr(self.model, name) for name in ("version", "tier", "weights", "adjustment")}
        record = {"format": _KIND, "version": FORMAT, "model": model, "by": self.by, "corpus": self.corpus}
        return (json.dumps({**record, "groups": groups}, ensure_ascii=False) + "\n").encode()


def group_table(margins: Floats) -> GroupTable:
    """Table of one group.

    Args:
        margins: float64[n], n at least 1, of human documents.
    """
    import numpy as np

    from detectors.binomial import upper_bound

    n = len(margins)
    descending = np.sort(margins)[::-1]
    # Exact where rates are small: that is where thresholds are. Counts are at most n - 1: above all but none is p 1.
    steps = np.concatenate([np.arange(40), np.geomspace(40, max(n // 5, 41), _POINTS), [n // 2]])
    counts = np.unique(np.minimum(steps, n - 1).astype(np.int64))[::-1]
    # Rounded up, so that rounding never makes a document look more surprising than it is.
    above = np.ceil(descending[counts] * _DIGITS) / _DIGITS
    return GroupTable(n, tuple(above.tolist()), tuple(upper_bound(counts, n).tolist()))


def is_reference(path: Path) -> bool:
    """Whether a file says of itself that it is a reference, of whatever version."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.get("format") == _KIND


def read_reference(path: Path) -> OwnReference:
    """Read a reference file.

    Raises:
        ConfigError: it is absent, no such file, of another version, without a group, or promises more than its
            documents can.
    """
    remedy = "Make it with foxing calibrate."
    try:
        content = path.read_bytes()
        record = json.loads(content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is no reference file ({error}). {remedy}") from error
    if not isinstance(record, dict) or record.get("format") != _KIND:
        raise ConfigError(f"{path}: is no reference file. {remedy}")
    if record.get("version") != FORMAT:
        raise ConfigError(f"{path}: reference version {record.get('version')!r}, this foxing reads {FORMAT}. {remedy}")
    try:
        groups = {str(name): _table(table) for name, table in record["groups"].items()}
        if not groups:
            raise ValueError("it has no group")
        model = Model(**record["model"])
        by = record["by"] if record["by"] is None else str(record["by"])
        return OwnReference(model, by, groups, str(record["corpus"]), hashlib.sha256(content).hexdigest()[:32])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{path}: is damaged ({error}). {remedy}") from error


def _table(record: Mapping[str, Any]) -> GroupTable:
    from detectors.binomial import least_rate

    table = GroupTable(int(record["n"]), tuple(map(float, record["above"])), tuple(map(float, record["p_human"])))
    if len(table.above) != len(table.p_human) or not table.above:
        raise ValueError("above and p_human are not of one length")
    if not all(isfinite(value) for value in (*table.above, *table.p_human)):
        raise ValueError("above and p_human must be finite")
    if list(table.above) != sorted(table.above) or list(table.p_human) != sorted(table.p_human, reverse=True):
        raise ValueError("above must ascend and p_human descend")
    if not least_rate(table.n) - _SLACK <= table.p_human[-1] <= 1:
        raise ValueError(f"p_human {table.p_human[-1]} is out of reach of {table.n} documents")
    return table
