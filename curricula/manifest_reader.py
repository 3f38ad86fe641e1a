"""Reads a manifest, which may be anyone's: every value is checked before it is believed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit.folders import Folder, LocalFolder, open_folder
from curricula.edit import original_name
from curricula.emit import dropped_names
from curricula.manifest import (
    FORMAT,
    FORMAT_VERSION,
    NAME,
    SUMS,
    InputShard,
    Manifest,
    SectionRecord,
    SeriesRecord,
    decode_schema,
)
from curricula.part_files import Receipt
from detectors.errors import InputError

__all__ = ["curated_at", "read_manifest"]

_MOST = 2**53  # rows and bytes: what every JSON reader keeps exact


def _unhexed(record: Mapping[str, Any], kind: type[InputShard | Receipt]) -> dict[str, Any]:
    """The fields of a record with its sums as integers, each of the type that `kind` declares."""
    fields: dict[str, Any] = {name: int(value, 16) if name in SUMS else value for name, value in record.items()}
    for spec in dataclasses.fields(kind):
        value, declared = fields[spec.name], str(spec.type)
        if declared == "str":
            _text(spec.name, value)
        if declared == "int":
            _count(spec.name, value, 2**64 if spec.name in SUMS else _MOST)
        if declared.startswith("Mapping"):
            for rule, rows in value.items():
                _count(rule, rows, _MOST)
    return fields


def _count(name: str, value: object, limit: int) -> None:
    if type(value) is not int or not 0 <= value < limit:
        raise TypeError(f"{name} is {_short(value)}")


def _text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {_short(value)}")
    value.encode("utf-8")  # half a character is a ValueError


def _short(value: object) -> str:
    said = ascii(value)
    return said if len(said) <= 40 else f"{said[:40]}..."


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def curated_at(path: Path | str) -> tuple[Folder, str]:
    """The folder of an output, and the name of its manifest in it.

    Args:
        path: path or URL of either; a URL that ends in .json is that of a manifest.
    """
    found = open_folder(path)
    if found.local is not None:
        return (found, NAME) if found.local.is_dir() else (LocalFolder(found.local.parent), found.local.name)
    parent, _, name = str(found).rpartition("/")
    return (open_folder(parent), name) if name.endswith(".json") else (found, NAME)


def read_manifest(path: Path | str) -> Manifest:
    """Read a manifest; a folder means the manifest in it.

    Args:
        path: path or URL, as `curated_at` has it.

    Raises:
        InputError: not there, not a manifest, of another version, or damaged.
    """
    folder, name = curated_at(path)
    file = folder.at(name)
    try:
        record = json.loads(folder.read(name).decode("utf-8"), parse_constant=_no_number)
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file. Name the manifest.json that foxing curate wrote.") from error
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{file}: cannot be read as a manifest ({error}). Curate again with --fresh.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f"{file}: is not a foxing manifest. Name the manifest.json that foxing curate wrote.")
    if record.get("version") != FORMAT_VERSION:
        raise InputError(
            f"{file}: manifest version {_short(record.get('version'))}, this foxing reads {FORMAT_VERSION}. "
            f"It was written by foxing {_short(record.get('foxing'))}: use that."
        )
    try:
        return _from_record(record)
    except (AttributeError, KeyError, TypeError, ValueError, OSError, pa.ArrowException) as error:
        raise InputError(
            f"{file}: is damaged ({type(error).__name__}: {_short(str(error))}). Curate again with --fresh."
        ) from error


def _from_record(record: Mapping[str, Any]) -> Manifest:
    fields: dict[str, Any] = {spec.name: record[spec.name] for spec in dataclasses.fields(Manifest)}
    fields["rules"] = {rule: facts["when"] for rule, facts in record["rules"].items()}
    fields["inputs"] = tuple(InputShard(**_unhexed(shard, InputShard)) for shard in record["inputs"])
    fields["series"] = tuple(_series(series) for series in record["series"])
    for folder in ("data", "dropped", "masks"):
        fields[folder] = tuple(Receipt(**_unhexed(receipt, Receipt)) for receipt in record[folder])
    fields["curricula"], fields["drop"] = tuple(record["curricula"]), tuple(record["drop"])
    manifest = Manifest(**fields)
    names = {series.name for series in manifest.series}
    for used in (
        *(shard.series for shard in manifest.inputs),
        *(file.series for file in manifest.data + manifest.dropped + manifest.masks),
    ):
        if used not in names:
            raise ValueError(f"no series {used!r}")
    for shard in manifest.inputs:
        if shard.schema:
            decode_schema(shard.schema)
    _count("unranked", manifest.unranked, _MOST)
    _text("run", manifest.run)
    _text("path of the plan", manifest.plan["path"])
    _text("digest of the plan", manifest.plan["sha256"])
    return manifest


def _series(record: Mapping[str, Any]) -> SeriesRecord:
    lists: Sequence[str] = ("dropped_columns", "changes")
    sections = tuple(SectionRecord(**section) for section in record["sections"])
    series = SeriesRecord(**{**record, **{name: tuple(record[name]) for name in lists}, "sections": sections})
    if not sections:
        raise ValueError("series without sections")
    for section in sections:
        _count("rows of a section", section.rows, _MOST)
        _text("section", section.name)
    for name in ("name", "layout", "original"):
        _text(f"{name} of a series", getattr(series, name))
    _count("block", series.block, _MOST)
    if type(series.seed) is not int:
        raise TypeError(f"seed of a series is {_short(series.seed)}")
    schema = series.arrow_schema()
    if series.dropped_columns != dropped_names(schema):
        raise ValueError(f"columns of dropped/ are {_short(series.dropped_columns)}")
    if series.original not in ("", original_name(schema)):
        raise ValueError(f"column of originals is {_short(series.original)}")
    return series
