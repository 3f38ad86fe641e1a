"""What a folder that is scanned again knows from before, and what of it a new scan would pass over in silence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detectors.errors import ConfigError, FoxingError

if TYPE_CHECKING:
    from audit.config import Config
    from audit.findings_folder import Findings

__all__ = ["forgotten_reference", "refuse_unmet"]

_DUPLICATES = "duplicates"


def forgotten_reference(config: Config, directory: Path | str) -> str | None:
    """The reference that duplicates were looked for in before, where a scan would look for them in none.

    Args:
        config: of the scan.
        directory: folder of findings; it need not be there.
    """
    known = _known(directory)
    if known is None or _DUPLICATES not in config.scan.stages or config.stages.get(_DUPLICATES, {}).get("reference"):
        return None
    records = (record for record in known.signals if record.name == _DUPLICATES)
    return next((str(found) for record in records if (found := record.config.get("reference"))), None)


def refuse_unmet(config: Config, directory: Path | str, *, fresh: bool) -> None:
    """Refuse stages whose signals are neither measured by a scan nor in its folder.

    Args:
        config: of the scan, whose stages someone named.
        directory: folder of findings; it need not be there.
        fresh: whether what is there is thrown away.

    Raises:
        ConfigError: a stage would not run.
    """
    from audit.signals import build_stages

    known = None if fresh else _known(directory)
    measured = {"document", *config.scan.signals, *(record.name for record in (known.signals if known else ()))}
    for stage in build_stages(config):
        missing = [name for name in stage.needs if name not in measured]
        if missing:
            raise ConfigError(
                f"stage {stage.name}: needs {' and '.join(missing)}, which is not measured. "
                f"Add it to --signals, or leave {stage.name} out of --stages."
            )
        measured.add(stage.name)


def _known(directory: Path | str) -> Findings | None:
    from audit.findings_folder import Findings

    try:
        return Findings.open(directory)
    except FoxingError:
        return None  # the scan itself says what is wrong with it
