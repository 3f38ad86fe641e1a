"""Looks at where foxing runs: which packages, from where, which models, caches and devices, and what is in the way."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audit import __version__
from detectors import registry
from detectors.errors import FoxingError

__all__ = ["EXTRAS", "Environment", "Extra", "Package", "Plugin", "Problem", "look"]

EXTRAS = {
    "lm": "language models: foxing probe, knowledge, novelty, cloze, --ai-tier encoder and cascade",
    "train": "training: foxing train, trial, experiment, train-detector, generate",
    "ray": "--executor ray: scans on a cluster",
    "remote": "s3://, gs:// and hf:// paths",
    "pairs": "signal pair_quality with sentence vectors",
    "report": "pictures of a report for the documents; foxing report itself needs none of it",
}
"""What each extra gives, in words; an extra that is not here is named alone."""
_INNER = ("all", "test")
_GROUPS = ("foxing.signals", "foxing.stages", "foxing.curricula", "foxing.formats")
_REQUIREMENT = re.compile(r"^([\w.-]+)(?:\[([^]]*)\])?([^;]*)(?:;(.*))?$")
_BOUND = re.compile(r"(>=|<)\s*([\d.]+)")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
_VARIABLES = (
    "FOXING_CONFIG", "FOXING_DATA", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_OFFLINE", "RAY_ADDRESS",
    "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """Something in the way.

    Attributes:
        fatal: whether a plain scan cannot run because of it.
        text: what, and the remedy.
    """

    fatal: bool
    text: str


@dataclass(frozen=True)
class Package:
    """A package that foxing asks for: `version` and the folder it is imported from are None where it is absent."""

    name: str
    needs: str
    version: str | None
    origin: str | None

    @property
    def fits(self) -> bool:
        """Whether it is there in a version that foxing asks for."""
        return self.version is not None and all(
            (_numbers(self.version) >= _numbers(bound)) == (sign == ">=") for sign, bound in _BOUND.findall(self.needs)
        )


@dataclass(frozen=True)
class Extra:
    """An extra of the distribution, what it gives, and which packages of it are missing or too old."""

    name: str
    gives: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Plugin:
    """A signal, stage, curriculum or format of another distribution, and the error where it does not import."""

    group: str
    name: str
    distribution: str
    error: str | None


@dataclass(frozen=True)
class Environment:
    """Where foxing runs.

    Attributes:
        foxing: its version; `origin` is the folder that its packages are imported from.
        python: version, implementation and path of the interpreter.
        machine: system and processor.
        cores: that this process may use.
        packages: that a plain scan needs.
        extras: all of them.
        plugins: of other distributions.
        gpu: devices by name, or why there are none.
        caches: purpose to folder and whether it can be written.
        models: name to where it lies, or how to get it.
        variables: of the environment, those that are set.
        settings: the settings file in force, or that there is none.
        problems: what is in the way, fatal ones first.
    """

    foxing: str
    origin: str
    python: str
    machine: str
    cores: int
    packages: tuple[Package, ...]
    extras: tuple[Extra, ...]
    plugins: tuple[Plugin, ...]
    gpu: str
    caches: Mapping[str, str]
    models: Mapping[str, str]
    variables: Mapping[str, str]
    settings: str
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """0 nothing is in the way, 1 something is but a plain scan runs, 2 a plain scan cannot run."""
        return 2 if any(problem.fatal for problem in self.problems) else 1 if self.problems else 0


def look(config_path: Path | None = None, *, isolated: bool = False) -> Environment:
    """Look at all of it. Imports numba and, where it is installed, torch: it takes seconds.

    Args:
        config_path: the settings file; None looks for one as every command does.
        isolated: look at no settings file.
    """
    problems: list[Problem] = []
    packages, extras = _packages(problems)
    problems += [
        Problem(True, f"{one.name}{one.needs}: {_lack(one)}. Install it: pip install '{one.name}{one.needs}'")
        for one in packages
        if not one.fits
    ]
    plugins = tuple(_plugins())
    problems += [
        Problem(False, f"{one.group} {one.name!r} of {one.distribution}: {one.error}") for one in plugins if one.error
    ]
    caches = dict(_caches(problems))
    models = dict(_models(problems))
    settings = _settings(problems, config_path, isolated)
    return Environment(
        foxing=__version__,
        origin=str(Path(__file__).parent.parent),
        python=f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}",
        machine=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        packages=packages,
        extras=extras,
        plugins=plugins,
        gpu=_gpu(),
        caches=caches,
        models=models,
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        settings=settings,
        problems=tuple(sorted(problems, key=lambda problem: not problem.fatal)),
    )


def _packages(problems: list[Problem]) -> tuple[tuple[Package, ...], tuple[Extra, ...]]:
    """The packages that the distribution asks for without an extra, and its extras, with what they take in."""
    try:
        requirements = importlib.metadata.requires("foxing") or ()
    except importlib.metadata.PackageNotFoundError:
        problems.append(Problem(True, "foxing: is not installed, so its signals are not found. Run pip install ."))
        return (), ()
    base, lacking, within = [], dict[str, list[str]](), dict[str, list[str]]()
    for requirement in requirements:
        found = _REQUIREMENT.match(requirement)
        assert found is not None, requirement
        name, needs = found[1], found[3].strip()
        extra = _EXTRA.search(found[4] or "")
        if extra is None:
            base.append(_package(name, needs))
            continue
        missing = lacking.setdefault(extra[1], [])
        if name == "foxing":
            within.setdefault(extra[1], []).extend((found[2] or "").split(","))
        elif not _package(name, needs).fits:
            missing.append(name)
    for name, others in within.items():
        lacking[name] += [one for other in others for one in lacking.get(other.strip(), ())]
    extras = (
        Extra(name, EXTRAS.get(name, ""), tuple(dict.fromkeys(missing)))
        for name, missing in sorted(lacking.items())
        if name not in _INNER
    )
    return tuple(base), tuple(extras)


def _package(name: str, needs: str) -> Package:
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return Package(name, needs, None, None)
    return Package(name, needs, found.version, str(found.locate_file("")))


def _lack(package: Package) -> str:
    return "is not installed" if package.version is None else f"is {package.version}"


def _numbers(version: str) -> tuple[int, ...]:
    """The release part of a version, without zeros at its end: `2.0.1rc1` is (2, 0, 1)."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(piece) for piece in release[0].split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _plugins() -> Iterator[Plugin]:
    for group in _GROUPS:
        for point in importlib.metadata.entry_points(group=group):
            owner = point.dist.name if point.dist else "an unknown distribution"
            if owner == "foxing":
                continue
            try:
                registry.load(group, point.name)
            except FoxingError as error:
                yield Plugin(group, point.name, owner, str(error))
            else:
                yield Plugin(group, point.name, owner, None)


def _gpu() -> str:
    """Devices that models could run on."""
    if importlib.util.find_spec("torch") is None:
        return "none looked for: torch is not installed (extra lm)"
    try:
        cuda = importlib.import_module("torch").cuda
        names = [str(cuda.get_device_name(index)) for index in range(cuda.device_count())]
    except (ImportError, OSError, RuntimeError) as error:
        return f"none: torch does not work here ({error})"
    return ", ".join(names) or "none: models run on the CPU"


def _caches(problems: list[Problem]) -> Iterator[tuple[str, str]]:
    try:
        from detectors.segmentation import count_characters
    except Exception as error:  # noqa: BLE001 - whatever an import raises is what the doctor is asked for
        problems.append(
            Problem(True, f"numba: kernels do not load ({type(error).__name__}: {error}). Install it anew.")
        )
    else:
        folder = getattr(getattr(count_characters, "stats", None), "cache_path", None)
        if folder is None:
            problems.append(
                Problem(False, "kernels are compiled in each run. Set NUMBA_CACHE_DIR to a folder that can be written.")
            )
        yield "kernels", "none that can be written" if folder is None else _folder(Path(folder))
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    yield "models put together", _folder(home / "foxing")
    yield "Hugging Face", _folder(Path(os.environ.get("HF_HOME") or home / "huggingface"))
    temporary = Path(tempfile.gettempdir())
    yield "temporary", _folder(temporary)


def _folder(path: Path) -> str:
    """A folder with what can be done there: looking makes nothing."""
    if path.is_dir():
        return f"{path} ({'writable' if os.access(path, os.W_OK) else 'read-only'})"
    above = next((parent for parent in path.parents if parent.is_dir()), None)
    can = above is not None and os.access(above, os.W_OK)
    return f"{path} (absent, {'made when needed' if can else 'cannot be made'})"


def _models(problems: list[Problem]) -> Iterator[tuple[str, str]]:
    from detectors.packaged_models import PACKAGED

    try:
        from audit.calibrate import reference

        yield "ai_text fast (bundled)", f"calibration {reference().digest[:12]}"
    except Exception as error:  # noqa: BLE001 - whatever an import raises is what the doctor is asked for
        problems.append(Problem(True, f"the bundled detector does not load ({error}). Install foxing anew."))
    for name, model in PACKAGED.items():
        folders = [importlib.util.find_spec(module) for module, _ in model.parts]
        there = [spec.submodule_search_locations[0] for spec in folders if spec and spec.submodule_search_locations]
        found = len(there) == len(model.parts)
        yield name, there[0] if found else f"absent: pip install {model.install}"


def _settings(problems: list[Problem], path: Path | None, isolated: bool) -> str:
    try:
        from audit.config import load_config
        from audit.rules import rules_from
        from audit.signals import build_signals, build_stages

        config = load_config(path, isolated=isolated)
        rules_from(config.rules)
        build_signals(config)
        build_stages(config)
    except FoxingError as error:
        problems.append(Problem(True, str(error)))
        return "cannot be used"
    except ImportError as error:
        return f"not looked at: {error}"
    if isolated:
        return "defaults (--isolated)"
    return str(config.path) if config.path else "defaults (no foxing.toml or [tool.foxing] found)"
