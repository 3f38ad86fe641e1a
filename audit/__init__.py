"""Run detectors over a corpus and say what the findings mean.

`scan`, `open`, `findings`, `check` and `judge` are the command line as Python functions (docs/api.md).
"""

import sys
from types import ModuleType

from audit.api import Audit, Verdicts, check, findings, judge, open, scan  # noqa: A004

__all__ = ["Audit", "Verdicts", "__version__", "check", "findings", "judge", "open", "scan"]

__version__ = "0.1.0"


class _Package(ModuleType):
    """A function stays where it is when the module of its name, which does its work, is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
