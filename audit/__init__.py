"""Run detectors over a corpus and say what the findings mean.

`scan`, `open`, `findings`, `check` and `judge` are the command line as Python functions (docs/api.md).
"""

from audit.api import Audit, Verdicts, check, findings, judge, open, scan  # noqa: A004

__all__ = ["Audit", "Verdicts", "__version__", "check", "findings", "judge", "open", "scan"]

__version__ = "0.1.0"
