"""Settings: dataclasses whose fields are the keys of `[tool.foxing]`, read from pyproject.toml or foxing.toml."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detectors.errors import ConfigError, PluginError
from detectors.protocols import Device

__all__ = [
    "EXECUTORS",
    "AllowConfig",
    "CalibrationConfig",
    "CheckConfig",
    "Config",
    "CurateConfig",
    "ScanConfig",
    "find_config",
    "load_config",
]

DEFAULT_STAGES = ("duplicates", "templates", "contradictions")
DEFAULT_SIGNALS = ("document", "diversity", "language", "near_dup", "residue", "ai_text")
_TABLES = ("calibration", "check", "curate", "allow", "signal", "stage", "curriculum", "rule")
EXECUTORS = ("local", "ray")
_MAX_SEED = 2**63 - 1
_MAX_WORKERS = 4096


@dataclass(frozen=True)
class ScanConfig:
    """What `foxing scan` reads and measures: the keys at the top of `[tool.foxing]`.

    Attributes:
        text: text column; None finds one by convention (text, content, ..., question and answer, messages).
        by: column whose values are the sources of the report; None takes each file as a source.
        domain_column: column whose values are the domains that a report breaks its shares down by.
        time_column: column of dates, ISO 8601 or a year first, that a report breaks its shares down by.
        signals: names of the signals to measure.
        seed: recorded in every part, and used by signals that sample; not negative.
        workers: processes, or actors of Ray; 0 means one per core.
        device: auto, cpu or cuda.
        executor: local (processes of this machine) or ray.
        ray_address: of a Ray cluster; None takes RAY_ADDRESS, else starts Ray on this machine.
        sketches: whether to keep corpus sketches (`detectors.sketches`) beside the findings.
        stages: names of what is found over the whole corpus once it is measured, where the signals that it needs are.
    """

    text: str | None = None
    by: str | None = None
    domain_column: str | None = None
    time_column: str | None = None
    signals: tuple[str, ...] = DEFAULT_SIGNALS
    seed: int = 17
    workers: int = 0
    device: str = "auto"
    executor: str = "local"
    ray_address: str | None = None
    sketches: bool = True
    stages: tuple[str, ...] = DEFAULT_STAGES

    @property
    def columns(self) -> tuple[str, ...]:
        """Raw columns that findings carry."""
        named = (self.by, self.domain_column, self.time_column)
        return tuple(dict.fromkeys(column for column in named if column is not None))

    def __post_init__(self) -> None:
        devices = [device.value for device in Device]
        if self.device not in devices:
            raise ConfigError(f"device = {self.device!r} is none of {', '.join(devices)}. Choose one of them.")
        if self.executor not in EXECUTORS:
            raise ConfigError(f"executor = {self.executor!r} is none of {', '.join(EXECUTORS)}. Choose one of them.")
        for name, value, largest in (("workers", self.workers, _MAX_WORKERS), ("seed", self.seed, _MAX_SEED)):
            if not 0 <= value <= largest:
                raise ConfigError(f"{name} = {value} is not from 0 to {largest}. Change its value.")


@dataclass(frozen=True)
class CheckConfig:
    """`[tool.foxing.check]`: which rules judge, and how much of each is tolerated (share of rows, 0-1)."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    budget: Mapping[str, float] = field(default_factory=dict)
    strict: bool = False

    def __post_init__(self) -> None:
        for rule_id, value in self.budget.items():
            _check_share(f"budget.{rule_id}", value)


@dataclass(frozen=True)
class CalibrationConfig:
    """`[tool.foxing.calibration]`: what detector margins are held against.

    Attributes:
        reference: file that `foxing calibrate` wrote, relative to the settings file; None is the bundled one alone.
    """

    reference: str | None = None


@dataclass(frozen=True)
class CurateConfig:
    """`[tool.foxing.curate]`: what is dropped, in which order the rest is written, how much of it, and into what.

    Attributes:
        curriculum: names of curricula.
        drop: rules, or beginnings of their ids, whose rows are dropped.
        allow_loss: largest share of rows (0-1) that a source may lose.
        allow_loss_of: source, or pattern of sources, to what it may lose instead.
        min_rows, min_tokens: fewest that the output may have.
        rows, tokens: most that the output may have; None is no limit.
        mix: source, or pattern of sources, to its share of the output.
        count: field of findings that counts tokens.
        split: share of near-duplicate clusters held out for validation; None holds out nothing.
        staged: stages that the training part is divided into; 0 is none.
        shuffle_within: rows of the output within which the order is random; 0 is none.
        shard_rows: most rows of a file, shard_mb: most MB of text in a file; None leaves that to foxing.
        row_group_rows: most rows of a row group.
    """

    curriculum: tuple[str, ...] = ("human-first",)
    drop: tuple[str, ...] = ()
    allow_loss: float = 0.5
    allow_loss_of: Mapping[str, float] = field(default_factory=dict)
    min_rows: int = 0
    min_tokens: int = 0
    rows: int | None = None
    tokens: int | None = None
    mix: Mapping[str, float] = field(default_factory=dict)
    count: str = "document.words"
    split: float | None = None
    staged: int = 0
    shuffle_within: int = 0
    shard_rows: int | None = None
    shard_mb: float | None = None
    row_group_rows: int = 50_000

    def __post_init__(self) -> None:
        _check_share("allow_loss", self.allow_loss)
        for source, share in self.allow_loss_of.items():
            _check_share(f"allow_loss_of.{source}", share)


@dataclass(frozen=True)
class AllowConfig:
    """`[tool.foxing.allow]`: data that is machine-written on purpose, and that no FX1 rule drops.

    A pattern is matched by the whole value, letters as they are; `*` stands for any text, `?` for one character.

    Attributes:
        source: patterns of sources.
        column: column, or `struct.field`, to patterns of its values.
    """

    source: tuple[str, ...] = ()
    column: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} = {value!r} is not a share. Give a number from 0 to 1.")


@dataclass(frozen=True)
class Config:
    """Everything that was configured, and the file it came from (None: defaults).

    Attributes:
        scan: keys at the top of the table.
        calibration: `[tool.foxing.calibration]`.
        check: `[tool.foxing.check]`.
        curate: `[tool.foxing.curate]`.
        allow: `[tool.foxing.allow]`.
        signals: `[tool.foxing.signal.NAME]`, settings of one signal each.
        stages: `[tool.foxing.stage.NAME]`, settings of one stage each.
        curricula: `[tool.foxing.curriculum.NAME]`, settings of one curriculum each.
        rules: `[tool.foxing.rule.ID]`, a new rule or changed fields of a default one.
        path: the file read.
    """

    scan: ScanConfig = field(default_factory=ScanConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    check: CheckConfig = field(default_factory=CheckConfig)
    curate: CurateConfig = field(default_factory=CurateConfig)
    allow: AllowConfig = field(default_factory=AllowConfig)
    signals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    curricula: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    path: Path | None = None

    @property
    def reference(self) -> Path | None:
        """The human reference of the user's own, found from where the settings file lies."""
        named = self.calibration.reference
        if named is None:
            return None
        return (self.path.parent if self.path else Path()) / named


def find_config(start: Path) -> Path | None:
    """The nearest foxing.toml, or pyproject.toml with a `[tool.foxing]` table, in `start` or above it."""
    for folder in (start, *start.parents):
        if (folder / "foxing.toml").is_file():
            return folder / "foxing.toml"
        project = folder / "pyproject.toml"
        if project.is_file() and "foxing" in _parse(project).get("tool", {}):
            return project
        if (folder / ".git").exists():
            return None
    return None


def load_config(path: Path | None = None, *, isolated: bool = False, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the settings.

    Args:
        path: a file to read; None searches from the working directory upwards.
        isolated: read no file at all.
        environ: FOXING_CONFIG names a file when `path` does not.

    Raises:
        ConfigError: the file is absent, is not TOML, or holds an unknown key or a value of the wrong type.
    """
    if isolated:
        return Config()
    named = path or (Path(environ["FOXING_CONFIG"]) if environ.get("FOXING_CONFIG") else None)
    chosen = named or find_config(_working_directory())
    if chosen is None:
        return Config()
    tables = _parse(chosen)
    table = tables.get("tool", {}).get("foxing", {}) if chosen.name == "pyproject.toml" else tables
    if chosen.name != "pyproject.toml" and set(table) == {"tool"}:
        table = table["tool"].get("foxing", {})
    return _build(table, chosen)


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError("the working directory is gone. Change to another one.") from error


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML ({error}). Mend that line.") from error


def _build(table: dict[str, Any], path: Path) -> Config:
    own = {name: value for name, value in table.items() if name not in _TABLES}
    calibration, check, curate, allow, signal, stage, curriculum, rule = (
        _table(table.get(name, {}), name, path) for name in _TABLES
    )
    return Config(
        scan=_fill(ScanConfig, own, path, "", _TABLES),
        calibration=_fill(CalibrationConfig, calibration, path, "calibration."),
        check=_fill(CheckConfig, check, path, "check."),
        curate=_fill(CurateConfig, curate, path, "curate."),
        allow=_fill(AllowConfig, allow, path, "allow."),
        signals={name: _table(value, f"signal.{name}", path) for name, value in signal.items()},
        stages={name: _table(value, f"stage.{name}", path) for name, value in stage.items()},
        curricula={name: _table(value, f"curriculum.{name}", path) for name, value in curriculum.items()},
        rules={name: _table(value, f"rule.{name}", path) for name, value in rule.items()},
        path=path,
    )


def _table(value: object, name: str, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: {name} = {value!r} is not a table. Write [{name}] and its keys below it.")
    return value


T = typing.TypeVar("T")


def _fill(kind: type[T], values: Mapping[str, Any], path: Path, prefix: str, others: tuple[str, ...] = ()) -> T:
    hints = _settable(kind)
    for key, value in values.items():
        if key not in hints:
            raise ConfigError(f"{path}: {unknown(prefix + key, [prefix + name for name in hints] + list(others))}")
        if not _fits(value, hints[key]):
            raise ConfigError(f"{path}: {prefix}{key} = {value!r} is not {_describe(hints[key])}. Change its value.")
    try:
        return kind(**{key: _frozen(value) for key, value in values.items()})
    except (ConfigError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {prefix}{error}") from error


def _settable(kind: type) -> dict[str, Any]:
    """Name to type of each field that a caller may set."""
    assert dataclasses.is_dataclass(kind)
    names = [spec.name for spec in dataclasses.fields(kind) if spec.init]
    try:
        hints = typing.get_type_hints(kind)
    except NameError as error:
        raise PluginError(
            f"{kind.__module__}.{kind.__qualname__}: its settings have types that cannot be looked up ({error}). "
            "Its package must import them when it is loaded."
        ) from error
    return {name: hints[name] for name in names}


def unknown(key: str, known: list[str]) -> str:
    """Say that a key is unknown, with the nearest that is known."""
    near = difflib.get_close_matches(key, known, 1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
    return f"unknown key {key!r}. {hint}"


def settings(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build a component (signal, curriculum) from its table, with the same checks as the file's own keys.

    Raises:
        ConfigError: unknown key, wrong type, or a value that the component refuses.
        PluginError: the component is not a dataclass.
    """
    if not dataclasses.is_dataclass(kind):
        raise PluginError(f"{where}: {kind.__module__}.{kind.__qualname__} is not a dataclass. Fix its package.")
    return _fill(kind, values, Path(where), "")


def _fits(value: object, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, list | tuple) and all(_fits(item, arguments[0]) for item in value)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(_fits(item, arguments[1]) for item in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint) if isinstance(hint, type) else True


def _describe(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(argument) for argument in arguments if argument is not type(None))
    if origin is tuple:
        return f"a list of {_describe(arguments[0])}"
    if origin is not None:
        return f"a table of {_describe(arguments[1])}"
    return {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}.get(hint, str(hint))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value
