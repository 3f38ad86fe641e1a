"""The options that make up a request of `foxing curate`, and the request that they and the settings make."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import click

from audit.cli.completing import CURRICULA, RULES
from audit.cli.options import Session

if TYPE_CHECKING:
    from audit.config import CurateConfig
    from curricula.budgets import Budget
    from curricula.foresee import Request
    from curricula.part_files import Layout

__all__ = ["Asked", "Mode", "asking", "request_of"]

P = ParamSpec("P")
_MB = 1_000_000


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; None is left to the settings file."""

    curriculum: str | None
    settings: tuple[str, ...]
    drop: str | None
    allow_loss: tuple[str, ...]
    min_rows: str | None
    min_tokens: str | None
    rows: str | None
    tokens: str | None
    mix: str | None
    count: str | None
    split: float | None
    staged: int | None
    shuffle_within: int | None
    shard_rows: int | None
    shard_mb: float | None
    row_group_rows: int | None
    corpus: str | None
    seed: int | None


_OPTIONS = (
    click.option(
        "--curriculum",
        type=CURRICULA,
        help="Curricula, comma-separated: human-first (default), original, shuffled, dedup, decontaminate, your own.",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME.KEY=VALUE",
        help="A setting of a curriculum; may be given again.",
    ),
    click.option("--drop", type=RULES, help="Rules, or beginnings of their ids, whose rows go to dropped/: FX101,FX2."),
    click.option(
        "--allow-loss",
        multiple=True,
        metavar="[SOURCE=]SHARE",
        help="Largest share of rows any source may lose (default 0.5), or some; may be given again.",
    ),
    click.option("--min-rows", metavar="N", help="Write nothing if fewer rows would be left."),
    click.option("--min-tokens", metavar="N", help="Write nothing if fewer tokens would be left."),
    click.option("--rows", metavar="N", help="Keep the first N rows of the order: 50000, 500K, 2M."),
    click.option("--tokens", metavar="N", help="Keep the first rows of the order that have N tokens together: 1B."),
    click.option(
        "--mix",
        metavar="SOURCE=SHARE,...",
        help="Hold these shares of rows, or of tokens with --tokens, in the largest output that can.",
    ),
    click.option(
        "--count", metavar="SIGNAL.FIELD", help="What tokens are, of what was measured (default document.words)."
    ),
    click.option(
        "--split",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        help="Hold out this share for validation, near duplicates together.",
    ),
    click.option("--staged", type=int, help="Divide the output into so many stages, each in a folder of its own."),
    click.option("--shuffle-within", type=int, metavar="N", help="Shuffle each N rows of the output that follow."),
    click.option("--shard-rows", type=click.IntRange(1), help="Files of even size, of at most so many rows."),
    click.option(
        "--shard-mb",
        type=click.FloatRange(0, min_open=True),
        help="Files of even size, of at most so many MB of text before compression.",
    ),
    click.option("--row-group-rows", type=click.IntRange(1), help="Most rows of a row group (default 50000)."),
    click.option("--corpus", metavar="ROOT", help="Folder that the scanned files were moved to."),
    click.option("--seed", type=int, help="Seed of ties, shuffles and splits (default: that of the scan)."),
)


_MODES = (
    click.option(
        "--work",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="Where unfinished rows lie while OUT is a URL (default: the user's cache).",
    ),
    click.option("--fresh", is_flag=True, help="Throw away what an earlier curate left in the folder."),
    click.option("--dry-run", is_flag=True, help="Show per source what would happen; write nothing."),
    click.option(
        "--format", "form", type=click.Choice(["text", "json"]), help="How --dry-run shows it: text (default) or json."
    ),
    click.option(
        "--check", is_flag=True, help="Exit 1 if rows would be dropped, edited, copied or moved; write nothing."
    ),
    click.option("--diff", is_flag=True, help="With --check, show the changed rows as a unified diff."),
)


@dataclass(frozen=True)
class Mode:
    """What is to be done besides writing, or instead."""

    work: Path | None
    fresh: bool
    dry_run: bool
    form: str | None
    check: bool
    diff: bool

    def refuse(self, out: str | None) -> None:
        """Stop where options do not go together."""
        if self.diff and not self.check:
            raise click.UsageError("--diff goes with --check: foxing curate DIR --check --diff.")
        if self.check and self.dry_run:
            raise click.UsageError("--check and --dry-run are two answers. Ask for one of them.")
        if self.form is not None and not self.dry_run:
            raise click.UsageError("--format goes with --dry-run. What is written has a manifest.json.")
        if not out and not self.dry_run and not self.check:
            raise click.UsageError("Missing option '-o' / '--output'.")


def asking(command: Callable[Concatenate[Asked, Mode, P], None]) -> Callable[P, None]:
    """Add the options of a request, and those of what is done with it, and pass them together, as first arguments."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        asked = Asked(**{spec.name: kwargs.pop(spec.name) for spec in dataclasses.fields(Asked)})  # type: ignore[arg-type]
        mode = Mode(**{spec.name: kwargs.pop(spec.name) for spec in dataclasses.fields(Mode)})  # type: ignore[arg-type]
        command(asked, mode, *args, **kwargs)

    for option in reversed((*_OPTIONS, *_MODES)):
        wrapped = option(wrapped)
    return wrapped


def request_of(session: Session, seed: int, asked: Asked) -> Request:
    """The request.

    Raises:
        ConfigError: an amount, a share or an assignment that is none, or two sizes of files.
    """
    from curricula.budgets import parse_amount
    from curricula.composing import overridden
    from curricula.foresee import Request
    from curricula.guards import parse_losses
    from curricula.sections import Shape

    config = session.config.curate
    every, some = parse_losses(asked.allow_loss)
    curricula = _names(asked.curriculum, config.curriculum)
    return Request(
        curriculum=curricula,
        drop=_names(asked.drop, config.drop),
        allow_loss=config.allow_loss if every is None else every,
        allow_loss_of={**config.allow_loss_of, **some},
        min_rows=config.min_rows if asked.min_rows is None else parse_amount(asked.min_rows),
        min_tokens=config.min_tokens if asked.min_tokens is None else parse_amount(asked.min_tokens),
        seed=seed if asked.seed is None else asked.seed,
        corpus=asked.corpus,
        layout=_layout(config, asked),
        tables=overridden(session.config.curricula, asked.settings, curricula),
        budget=_budget(config, asked),
        shape=Shape(
            split=config.split if asked.split is None else asked.split,
            stages=config.staged if asked.staged is None else asked.staged,
            block=config.shuffle_within if asked.shuffle_within is None else asked.shuffle_within,
        ),
        allow=session.config.allow,
        count=asked.count or config.count,
    )


def _budget(config: CurateConfig, asked: Asked) -> Budget:
    from curricula.budgets import Budget, parse_amount, parse_mix

    return Budget(
        rows=config.rows if asked.rows is None else parse_amount(asked.rows),
        tokens=config.tokens if asked.tokens is None else parse_amount(asked.tokens),
        mix=config.mix if asked.mix is None else parse_mix(asked.mix),
    )


def _layout(config: CurateConfig, asked: Asked) -> Layout:
    from curricula.part_files import Layout
    from detectors.errors import ConfigError

    rows, mb = asked.shard_rows, asked.shard_mb
    if rows is None and mb is None:
        rows, mb = config.shard_rows, config.shard_mb
    if rows is not None and mb is not None:
        raise ConfigError("--shard-rows and --shard-mb both set the size of files. Give one of them.")
    group_rows = config.row_group_rows if asked.row_group_rows is None else asked.row_group_rows
    return Layout(file_rows=rows, text_bytes=None if mb is None else max(1, round(mb * _MB)), group_rows=group_rows)


def _names(given: str | None, default: Sequence[str]) -> tuple[str, ...]:
    if given is None:
        return tuple(default)
    return tuple(name.strip() for name in given.split(",") if name.strip())
