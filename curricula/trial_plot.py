"""Pictures of a trial: learning curves with bands over seeds, and differences between arms with their intervals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curricula.contrasts import Contrast
from detectors.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from curricula.trial import TrialResult

__all__ = ["COLOURS", "drawing", "plot_trial"]

COLOURS = ("#1f5f8b", "#c8553d", "#4a7c59", "#8f5ea3", "#b08900", "#5c6b73")
_SMOOTH = 25


def plot_trial(result: TrialResult, folder: Path) -> tuple[Path, ...]:
    """Write curves and contrasts as .svg and .png.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    height = 1.2 + 0.28 * len(result.contrasts)
    return (
        *drawing(folder / "curves", lambda axes: _curves(axes, result), height=3.4, salt=result.digest),
        *drawing(folder / "contrasts", lambda axes: _differences(axes, result), height=height, salt=result.digest),
    )


def drawing(file: Path, draw: Callable[[Axes], None], *, height: float, salt: str) -> tuple[Path, Path]:
    """Draw one picture and write it as FILE.svg and FILE.png; the same `salt` gives the same bytes.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report") from error
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": salt, "font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(9, height), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.subplots())
        figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(file.with_suffix(".png"), dpi=150)
    return file.with_suffix(".svg"), file.with_suffix(".png")


def _curves(axes: Axes, result: TrialResult) -> None:
    """Loss of training by tokens: the mean over seeds, and their range."""
    for (arm, (tokens, losses)), colour in zip(result.curves.items(), COLOURS * 9, strict=False):
        window = max(1, min(_SMOOTH, len(tokens) // 10))
        kernel = np.ones(window) / window
        smooth = np.array([np.convolve(row, kernel, "valid") for row in losses])
        at = tokens[window - 1 :]
        axes.plot(at, smooth.mean(0), color=colour, label=arm, linewidth=1.4)
        axes.fill_between(at, smooth.min(0), smooth.max(0), color=colour, alpha=0.18, linewidth=0)
    axes.set(xlabel="tokens", ylabel="training loss (nats a token)")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _differences(axes: Axes, result: TrialResult) -> None:
    """Differences to the control, each in units of the larger end of its interval, so that metrics share an axis."""
    shown = [each for each in result.contrasts if not np.isnan(each.difference)]
    for place, each in enumerate(reversed(shown)):
        unit = max(abs(each.low), abs(each.high), 1e-12)
        colour = COLOURS[0] if _is_clear(each) else "#9aa5ab"
        axes.plot([each.low / unit, each.high / unit], [place, place], color=colour, linewidth=2)
        axes.plot(each.difference / unit, place, "o", color=colour, markersize=5)
        axes.text(1.05, place, f"{each.difference:+.3g}  [{each.low:+.3g}, {each.high:+.3g}]", va="center", fontsize=8)
    axes.axvline(0, color="#5c6b73", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [f"{each.name}: {each.metric}" for each in reversed(shown)])
    axes.set_xticks([])
    axes.set_xlim(-1.05, 2.0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _is_clear(each: Contrast) -> bool:
    """Whether it stays after looking at all of them."""
    return each.p_corrected is not None and each.p_corrected < 0.05
