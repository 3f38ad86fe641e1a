"""Pictures of an experiment: curves with bands over seeds, and signatures with intervals against their margins."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curricula.contrasts import seed_interval
from curricula.trial_plot import COLOURS, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from curricula.experiments.running import Ran

__all__ = ["plot_experiment"]


def plot_experiment(ran: Ran, folder: Path) -> tuple[Path, ...]:
    """Write NAME-curves and NAME-signatures as .svg and .png.

    Curves whose label is `PANEL/LABEL` go into NAME-PANEL. A module says what its panels are drawn over, and of, in
    `AXES`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    height = max(2.6, 0.9 + 0.28 * len(ran.findings))
    start, salt = folder / ran.experiment.declaration.experiment, ran.experiment.declaration.digest
    return (
        *itertools.chain.from_iterable(
            drawing(
                start.with_name(f"{start.name}-{panel}"), partial(_curves, panel=panel, ran=ran), height=3.4, salt=salt
            )
            for panel in dict.fromkeys(_panel_of(label) for label in ran.curves)
        ),
        *drawing(
            start.with_name(f"{start.name}-signatures"), lambda axes: _signatures(axes, ran), height=height, salt=salt
        ),
    )


def _panel_of(label: str) -> str:
    return label.rpartition("/")[0] or "curves"


def _curves(axes: Axes, panel: str, ran: Ran) -> None:
    """The mean over seeds and its 95 % interval by Student's t."""
    shown = {label: values for label, values in ran.curves.items() if _panel_of(label) == panel}
    for (label, (where, values)), colour in zip(shown.items(), COLOURS * 9, strict=False):
        mean, label = values.mean(0), label.rpartition("/")[2]
        axes.plot(where, mean, color=colour, label=label, linewidth=1.5, marker="o", markersize=2.5)
        ends = np.array([seed_interval(column) for column in values.T])
        if not np.isnan(ends).any():
            axes.fill_between(where, ends[:, 0], ends[:, 1], color=colour, alpha=0.15, linewidth=0)
    name = ran.experiment.declaration.experiment
    xlabel = "epoch" if name == "slick" else "share of false answers"
    axes_of: Mapping[str, tuple[str, str]] = getattr(ran.experiment.module, "AXES", {})
    xlabel, ylabel = axes_of.get(panel, (xlabel, "held-out accuracy"))
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if panel == "generations":
        axes.set_xticks(next(iter(shown.values()))[0])
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _signatures(axes: Axes, ran: Ran) -> None:
    for place, found in enumerate(reversed(ran.findings)):
        effect, margin = found.effect, found.signature.margin
        unit = max(abs(effect.low), abs(effect.high), abs(margin), 1e-12)
        colour = {"reproduced": COLOURS[2], "not reproduced": COLOURS[1]}.get(found.verdict, COLOURS[5])
        axes.plot([effect.low / unit, effect.high / unit], [place, place], color=colour, linewidth=2)
        axes.plot(effect.difference / unit, place, "o", color=colour, markersize=5)
        axes.plot([margin / unit] * 2, [place - 0.3, place + 0.3], color="#222222", linewidth=1)
        text = f"{effect.difference:+.3g} [{effect.low:+.3g}, {effect.high:+.3g}]" if effect.seeds else "not measured"
        axes.text(1.06, place, text if found.verdict == "-" else f"{text}  {found.verdict}", va="center", fontsize=8)
    axes.axvline(0, color="#9aa5ab", linewidth=0.8)
    axes.set_yticks(range(len(ran.findings)), [found.signature.id for found in reversed(ran.findings)])
    axes.set_xticks([])
    axes.set_xlim(-1.1, 2.6)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
