"""A report as JSON: versioned, described in docs/report.md, and by a schema that is made from the same classes."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum

from audit.compare import Comparison
from audit.intervals import Interval
from audit.report.content import Report

__all__ = ["FORMAT", "VERSION", "render_json", "schema"]

FORMAT, VERSION = "foxing-report", 1
_ID = "foxing-report-1.schema.json"
_PAIR = (float, Interval)
_NUMBER: dict[str, object] = {"type": "number"}
_INTERVAL: dict[str, object] = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
_SIMPLE: dict[object, str] = {str: "string", int: "integer", bool: "boolean", type(None): "null"}


def render_json(report: Report) -> str:
    """The whole report as ASCII JSON, keys in a fixed order; intervals as [low, high], what is not finite as null."""
    found = _plain(report)
    assert isinstance(found, dict)
    text = json.dumps({"format": FORMAT, "version": VERSION, **found}, indent=1, ensure_ascii=True, allow_nan=False)
    # Continuous integration takes ##[ for a command anywhere in what a step prints.
    return text.replace("##[", "#\\u0023[")


def _plain(value: object) -> object:
    if isinstance(value, Interval):
        return [value.low, value.high]
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        if tuple(map(type, value)) == _PAIR:
            return {"share": value[0], "interval": _plain(value[1])}
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def schema() -> dict[str, object]:
    """JSON Schema (2020-12) of what `render_json` writes."""
    known: dict[str, object] = {}
    _described(Report, known)
    top = known.pop("Report")
    assert isinstance(top, dict)
    head = {"format": {"const": FORMAT}, "version": {"const": VERSION}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _ID,
        "title": "A foxing report",
        **top,
        "properties": {**head, **top["properties"]},
        "required": [*head, *top["required"]],
        "$defs": dict(sorted(known.items())),
    }


def _described(kind: type, known: dict[str, object]) -> dict[str, object]:
    """A reference to the description of a class, which is put among those known."""
    name = kind.__name__
    if name not in known:
        known[name] = {}
        hints = typing.get_type_hints(kind, localns={"Comparison": Comparison})
        summary = (kind.__doc__ or "").partition("\n")[0]
        fields = [field.name for field in dataclasses.fields(kind)]
        known[name] = {
            "description": summary,
            "type": "object",
            "properties": {field: _type(hints[field], known) for field in fields},
            "required": fields,
        }
    return {"$ref": f"#/$defs/{name}"}


def _type(hint: object, known: dict[str, object]) -> dict[str, object]:
    if hint is Interval:
        return _INTERVAL
    if hint is float:
        return _NUMBER
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [each.value for each in hint]}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _described(hint, known)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_type(each, known) for each in arguments]}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _type(arguments[1], known)}
    if origin is tuple and arguments == _PAIR:
        return {
            "type": "object",
            "properties": {"share": _NUMBER, "interval": _INTERVAL},
            "required": ["share", "interval"],
        }
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _type(arguments[0], known)}
    if origin is tuple:
        size = len(arguments)
        parts = [_type(each, known) for each in arguments]
        return {"type": "array", "prefixItems": parts, "minItems": size, "maxItems": size}
    raise TypeError(f"{hint!r}: no JSON type. Describe it in audit/report/document.py.")
