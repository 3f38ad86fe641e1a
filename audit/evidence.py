"""What is known beside the findings: the detector's calibration, and documents whose author is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from audit.calibrate import Calibration, reference

if TYPE_CHECKING:
    from audit.two_phase import Labels
    from detectors.ai_text.spread import Profiles

__all__ = ["Evidence", "Profiled"]


@runtime_checkable
class Profiled(Protocol):
    """A calibration that also knows how the scores of its labelled sources are distributed."""

    @property
    def profiles(self) -> Profiles:
        """Histograms of scores by source and generator."""
        ...


@dataclass(frozen=True)
class Evidence:
    """What is known beside the findings.

    Attributes:
        tables: what is known of the detector; None takes the bundled detector's tables.
        labels: documents of the corpus whose author is known; None for none.
    """

    tables: Calibration | None = None
    labels: Labels | None = None

    @property
    def profiles(self) -> Profiles | None:
        """How the detector's scores are distributed in labelled sources; None where that is not known."""
        tables = self.tables or reference()
        return tables.profiles if isinstance(tables, Profiled) and tables.profiles.sources else None
