"""The picture of the detector's evaluation, drawn as SVG from the JSON alone: areas by source, and reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from typing import Any
from xml.sax.saxutils import escape

from tests.bench.report import REPOSITORY

__all__ = ["PICTURE", "picture"]

PICTURE = REPOSITORY / "docs" / "detector.svg"
_WIDTH, _LINE, _TOP, _BOTTOM = 860, 17, 46, 44
_LEFT, _PANEL, _GAP = 200, 280, 90
_SQUARE = 260
_BETWEEN = 90
_COLORS = {"en": "#1b6ca8", "zh": "#b3541e"}
_OTHER = "#4c7a34"
_INK, _PALE = "#333333", "#d8d8d8"


def picture(result: Mapping[str, Any]) -> str:
    """Dots and 95 % intervals of the AUROC of every source, and the curve of observed shares over scores."""
    table = best(result)
    units = sorted((one for one in table["sources"] if one["auroc"] is not None), key=lambda one: -one["auroc"])
    points = result["tables"]["curve"]["points"] if "curve" in result["tables"] else []
    panels = 2 * _SQUARE + _BETWEEN if points else _SQUARE
    height = max(_TOP + len(units) * _LINE, _TOP + panels) + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        *_areas(units, table["unseen"]),
        *_curve(table["reliability"]),
        *(_learning(points) if points else []),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def best(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tables whose models had seen least: sources left out where there are such margins."""
    tables: Mapping[str, Any] = result["tables"]
    found: Mapping[str, Any] = tables["source" if "source" in tables else "row"]
    return found


def _areas(units: Sequence[Mapping[str, Any]], unseen: str) -> list[str]:
    def x(value: float) -> float:
        return _LEFT + _PANEL * (max(value, 0.3) - 0.3) / 0.7

    bottom = _TOP + len(units) * _LINE
    lines = [_text(_LEFT - 190, 20, f"AUROC by source and language; unseen: {unseen}", size=13)]
    for at in range(3, 11):
        color = _INK if at == 5 else _PALE
        lines.append(_rule(x(at / 10), _TOP - 8, x(at / 10), bottom, color))
        lines.append(_text(x(at / 10), bottom + 16, f"{at / 10:.1f}", anchor="middle"))
    for place, (name, color) in enumerate((*_COLORS.items(), ("other languages", _OTHER))):
        at = _LEFT + place * 60
        lines += [f'<circle cx="{at}" cy="{bottom + 32}" r="3.5" fill="{color}"/>', _text(at + 8, bottom + 36, name)]
    for row, one in enumerate(units):
        y = _TOP + row * _LINE + 4
        color = _COLORS.get(one["language"], _OTHER)
        lines.append(_text(_LEFT - 8, y + 4, f"{one['source']} {one['language']}", anchor="end"))
        lines.append(_rule(x(one["low"]), y, x(one["high"]), y, color))
        lines.append(f'<circle cx="{x(one["auroc"]):.1f}" cy="{y}" r="3.5" fill="{color}"/>')
    return lines


def _curve(found: Mapping[str, Any]) -> list[str]:
    left, bottom = _LEFT + _PANEL + _GAP, _TOP + _SQUARE

    def place(predicted: float, observed: float) -> tuple[float, float]:
        return left + _SQUARE * predicted, bottom - _SQUARE * observed

    ece = "-" if found["ece"] is None else f"{found['ece']:.3f}"
    lines = [_text(left, 20, f"Share of machine text at each score; ECE {ece}", size=13)]
    for at in range(0, 11, 2):
        across, up = place(at / 10, 0)[0], place(0, at / 10)[1]
        lines += [_rule(left, up, left + _SQUARE, up, _PALE), _text(left - 6, up + 4, f"{at / 10:.1f}", anchor="end")]
        lines.append(_text(across, bottom + 16, f"{at / 10:.1f}", anchor="middle"))
    lines.append(_rule(left, bottom, left + _SQUARE, _TOP, _INK, dashed=True))
    points = [place(*one) for one in zip(found["predicted"], found["observed"], strict=True)]
    path = " ".join(f"{across:.1f},{up:.1f}" for across, up in points)
    lines.append(f'<polyline points="{path}" fill="none" stroke="{_COLORS["en"]}" stroke-width="1.5"/>')
    lines += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{_COLORS["en"]}"/>' for across, up in points]
    lines.append(_text(left + _SQUARE / 2, bottom + 34, "score (classes weighted alike)", anchor="middle"))
    return lines


def _learning(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Means over sources left out, on a scale on which each doubling of families takes as much room."""
    left, top = _LEFT + _PANEL + _GAP, _TOP + _SQUARE + _BETWEEN
    bottom, first = top + _SQUARE, points[0]["families"]
    doublings = max(log2(points[-1]["families"] / first), 1e-9)

    def place(families: float, area: float) -> tuple[float, float]:
        return left + _SQUARE * log2(families / first) / doublings, bottom - _SQUARE * (max(area, 0.5) - 0.5) / 0.5

    lines = [_text(left, top - 26, "AUROC on sources left out, by families trained on", size=13)]
    for at in range(5, 11):
        up = place(first, at / 10)[1]
        lines += [_rule(left, up, left + _SQUARE, up, _PALE), _text(left - 6, up + 4, f"{at / 10:.1f}", anchor="end")]
    for point in points:
        lines.append(_text(place(point["families"], 1)[0], bottom + 16, f"{point['families']:.0f}", anchor="middle"))
    for name, color in (*_COLORS.items(), ("other", _OTHER)):
        means = [
            (one["families"], mean["auroc"]) for one in points for mean in one["macro"] if mean["languages"] == name
        ]
        spots = [place(families, area) for families, area in means if area is not None]
        path = " ".join(f"{across:.1f},{up:.1f}" for across, up in spots)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        lines += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{color}"/>' for across, up in spots]
    return lines


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{_INK}">{escape(words)}</text>'
    )


def _rule(x: float, y: float, to_x: float, to_y: float, color: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{color}"{dash}/>'
