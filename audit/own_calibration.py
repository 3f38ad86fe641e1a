"""The bundled calibration with a reference of the user's own text before it, for the groups and model that it is of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.reference_file import EVERYTHING, OwnReference

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from detectors.ai_text.reference import ErrorRate, Reference
    from detectors.ai_text.spread import Profiles

    Floats = npt.NDArray[np.float64]
    Names = npt.NDArray[np.str_]

__all__ = ["OwnCalibration"]


@dataclass(frozen=True)
class OwnCalibration:
    """The bundled tables, and a user's reference that comes first in its groups."""

    bundled: Reference
    own: OwnReference

    @property
    def digest(self) -> str:
        """Of both."""
        return hashlib.sha256(f"{self.bundled.digest} {self.own.digest}".encode()).hexdigest()[:32]

    @property
    def tier(self) -> str:
        """Of the bundled tables; `own.model` has that of the user's."""
        return self.bundled.tier

    @property
    def profiles(self) -> Profiles:
        """Of the bundled tables, whose `score` this one has too."""
        return self.bundled.profiles

    def p_human(
        self, margin: Floats, language: Names, length: Floats, style: Floats | None = None
    ) -> npt.NDArray[np.float32]:
        """Of the bundled tables: for rows of no group."""
        return self.bundled.p_human(margin, language, length, style)

    def score(
        self, margin: Floats, language: Names, length: Floats, style: Floats | None = None
    ) -> npt.NDArray[np.float32]:
        """Of the bundled tables: human text alone cannot say more about it."""
        return self.bundled.score(margin, language, length, style)

    def error_rates(self, fpr: float) -> Sequence[ErrorRate]:
        """False positives of the user's text, and true positives of labelled machine text above the same margin.

        Where the reference is of groups, or of another model, the bundled rates: rows of no group are judged by those.
        """
        import numpy as np

        from detectors.ai_text.reference import ErrorRate
        from detectors.binomial import allowed_above

        if self.own.model.tier != self.bundled.tier or set(self.own.groups) != {EVERYTHING}:
            return self.bundled.error_rates(fpr)
        human, thresholds = [], []
        for name, table in sorted(self.own.groups.items()):
            allowed = allowed_above(table.n, fpr)
            human.append(ErrorRate(name, "human", table.n, allowed or 0))
            if allowed is not None:
                place = np.searchsorted(-np.array(table.p_human), -fpr, side="left")
                thresholds.append(table.above[int(place)])
        if not thresholds:
            return tuple(human)
        at = np.searchsorted(self.bundled.grid, np.mean(thresholds), side="right") - 1
        machine = self.bundled.error_rates(float(self.bundled.tail[max(at, 0)]))
        return (*human, *(rate for rate in machine if rate.kind != "human"))
