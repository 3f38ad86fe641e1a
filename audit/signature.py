"""The signature behind every number: what measured it, what judged it, on which corpus, with which seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING

from audit import __version__
from detectors.protocols import Signal
from detectors.sketches import Sketches

if TYPE_CHECKING:
    from audit.stages import Stage

__all__ = ["config_hash", "corpus_hash", "differing", "measured_by", "signal_config", "signature"]

_SHORT = 4
_APART = ("foxing", "corpus", "files", "sample", "seed")


def signal_config(signal: Signal | Sketches | Stage, *, located: bool = True) -> dict[str, object]:
    """The settings of a signal or stage as JSON-ready values.

    Args:
        signal: a dataclass.
        located: with the settings that only say where something lies (fields whose metadata has `location`), such as
            the path of an index whose digest is another setting. What numbers depend on goes without them.
    """
    fields: dict[str, object] = dataclasses.asdict(signal)  # type: ignore[arg-type]  # a protocol cannot demand it
    places = {spec.name for spec in dataclasses.fields(signal) if spec.metadata.get("location")}  # type: ignore[arg-type]
    return {key: _plain(value) for key, value in fields.items() if located or key not in places}


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str | dict) else str(value)


def config_hash(config: object) -> str:
    """12 hex digits of the SHA-256 of a JSON value, keys sorted."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:12]


def corpus_hash(digests: Iterable[str]) -> str:
    """12 hex digits over what each shard holds and which columns of it were read, whatever their order and names."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:12]


def signature(
    signals: Iterable[tuple[str, int, str]],
    corpus: str,
    seed: int,
    *,
    rules: str | None = None,
    calibration: str | None = None,
) -> str:
    """For example `foxing:0.1.0|ai_text:1:9f2c|rules:7e10|corpus:41d8|seed:17`.

    Args:
        signals: name, version and config hash of each.
        corpus: `corpus_hash` of the shards.
        seed: of the scan.
        rules: hash of the rules that judged; None when nothing was judged.
        calibration: digest of the tables that gave detector margins a meaning; None when none were used.
    """
    pieces = [f"foxing:{__version__}"]
    pieces += [f"{name}:{version}:{digest[:_SHORT]}" for name, version, digest in sorted(signals)]
    if rules is not None:
        pieces.append(f"rules:{rules[:_SHORT]}")
    if calibration is not None:
        pieces.append(f"calibration:{calibration[:_SHORT]}")
    return "|".join([*pieces, f"corpus:{corpus[:_SHORT]}", f"seed:{seed}"])


def measured_by(signature: str) -> str:
    """A signature without version, corpus, sample and seed: audits that share it measured and judged alike."""
    return "|".join(f"{name}:{value}" for name, value in _pieces(signature).items())


def differing(before: str, after: str) -> Iterator[tuple[str, str | None, str | None]]:
    """What two signatures say otherwise of measuring and judging: its name, and both values, None where it is not."""
    one, other = _pieces(before), _pieces(after)
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name):
            yield name, one.get(name), other.get(name)


def _pieces(signature: str) -> dict[str, str]:
    found = (piece.partition(":")[::2] for piece in signature.split("|") if piece)
    return {name: value for name, value in found if name not in _APART}
