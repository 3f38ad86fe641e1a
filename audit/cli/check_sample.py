"""The part of `foxing check` that judges by a sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from audit.cli.options import Session

if TYPE_CHECKING:
    from audit.assessment import Assessment
    from audit.baseline import Older
    from audit.config import CheckConfig

__all__ = ["refuse_with_sample", "sampled"]


def refuse_with_sample(paths: Sequence[str], chosen: Mapping[str, object], *, is_scan: bool, statistics: bool) -> None:
    """Stop where a sample has nothing to give.

    Raises:
        ConfigError: PATHS are a scan, or an option needs every row.
    """
    from detectors.errors import ConfigError

    if is_scan:
        raise ConfigError(f"{paths[0]}: is a scan, whose every row is measured already. Leave out --sample.")
    given = [f"--{name}" for name in ("labels", "reference") if chosen[name] is not None]
    given += ["--statistics"] if statistics else []
    if given:
        raise ConfigError(f"{given[0]}: needs every row, and --sample measures some. Leave out one of them.")


def sampled(
    session: Session, paths: Sequence[str], config: CheckConfig, chosen: Mapping[str, object], old: Older | None
) -> Assessment:
    """Judge files by a sample of their rows, which is drawn until it tells what is worse than in a baseline."""
    from audit.rules import rules_from
    from audit.sequential_check import Limits
    from audit.sequential_run import Drawn, check_sample

    error, max_rows = chosen["error_rate"], chosen["max_rows"]
    assert isinstance(error, float) and isinstance(max_rows, int)
    limits = Limits(error=error, max_rows=max_rows, strict=config.strict)
    with session.progress("sample", unit="rows") as bar:

        def show(drawn: Drawn) -> None:
            bar.update(drawn.rows, drawn.max_rows, f"  at most, of {drawn.of_rows:,}")

        settings = dataclasses.replace(session.config, check=config)
        ceilings = old.ceilings if old else {}
        rules = rules_from(session.config.rules)
        return check_sample(paths, settings, rules, limits=limits, ceilings=ceilings, on_progress=show)
