"""The nodes of a Ray cluster: connect to them, and see that each has the same foxing, output folder and input."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from audit import __version__
from audit.execute import usable_cores
from audit.storage import is_remote
from detectors.errors import ConfigError, InputError, OutputError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["at_home", "connected", "gone", "reach"]

_STORE_BYTES = 100_000_000
_ANSWER_S = 120.0
# A network file system may remember for some seconds that a name was not there.
_APPEARS_S = 3.0
_SAMPLED_INPUTS = 8
_NODE_DIED = "node has died"


def connected(address: str | None) -> ModuleType:
    """Ray, connected: to what the program has chosen already, else to the address.

    Raises:
        ConfigError: there is no cluster at the address.
    """
    if address is not None and address.startswith("ray://"):
        raise ConfigError(
            f"--ray-address {address}: is that of a Ray client. Run foxing on a node of the cluster (ray job submit "
            "does), with --ray-address auto."
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        return ray
    known = address or os.environ.get("RAY_ADDRESS")
    try:
        if known:
            ray.init(address=known, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                address="local",
                num_cpus=usable_cores(),
                object_store_memory=_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"--ray-address {known}: no Ray cluster answers there ({reason}). Check it.") from error
    return ray


def gone(ray: ModuleType, node: str | None, error: Exception) -> bool:
    """Whether an actor died because its node did: not alive any more, or said so in the error."""
    alive = {entry["NodeID"] for entry in ray.nodes() if entry["Alive"]}
    return (node is not None and node not in alive) or _NODE_DIED in str(error)


def at_home(home: str) -> None:
    """Work where the driver works, where the node has that folder: names of files may be relative to it."""
    with suppress(OSError):
        os.chdir(home)


@dataclass(frozen=True)
class _Seen:
    """What a node says.

    Attributes:
        version: of foxing there.
        folder: "" where it sees what the driver wrote and may write itself, else what is wrong.
        missing: an input that is not there; "" where all are.
    """

    version: str
    folder: str
    missing: str


def reach(ray: ModuleType, folder: Path, inputs: Iterable[str]) -> None:
    """Ask every node that can hold a worker; see `audit.execute.Executor.reach`."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # What is not here either is no matter of nodes: the scan names it and goes on.
    here = (uri for uri in inputs if not is_remote(uri) and _is_there(uri))
    paths = list(islice(here, _SAMPLED_INPUTS))
    nodes = {entry["NodeID"]: entry for entry in ray.nodes() if entry["Alive"] and entry["Resources"].get("CPU")}
    with _probe(folder) as probe:
        asked = {
            ray.remote(_look)
            .options(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
            .remote(str(probe), f"{node}.tmp", str(Path.cwd()), paths): node
            for node in nodes
        }
        done, late = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_S)
        if late:
            raise ConfigError(f"{_name(nodes[asked[late[0]]])}: does not answer. Take it out of the cluster.")
        for call in done:
            name = _name(nodes[asked[call]])
            try:
                seen = ray.get(call)
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[-1].strip()
                raise ConfigError(
                    f"{name}: cannot run foxing ({reason}). Install foxing {__version__} there."
                ) from error
            mirrored = probe.with_name(f"{probe.name}.{asked[call]}.tmp")
            _judge(name, seen, folder, not seen.folder and _appears(mirrored))
            mirrored.unlink(missing_ok=True)


def _judge(name: str, seen: _Seen, folder: Path, mirrored: bool) -> None:
    if seen.version != __version__:
        raise ConfigError(f"{name}: has foxing {seen.version}, here is {__version__}. Install the same on every node.")
    if seen.folder or not mirrored:
        reason = seen.folder or "what is written there does not appear here"
        raise OutputError(
            f"{folder}: is not the same folder on {name} ({reason}). Workers write findings themselves: name a folder "
            "on storage that all nodes have mounted under this path."
        )
    if seen.missing:
        raise InputError(
            f"{seen.missing}: is not there on {name}. Name files on storage that all nodes have mounted, or URLs."
        )


@contextmanager
def _probe(folder: Path) -> Iterator[Path]:
    probe = folder / f".probe-{secrets.token_hex(8)}.tmp"
    probe.touch()
    try:
        yield probe
    finally:
        for path in folder.glob(f"{probe.name}*"):
            path.unlink(missing_ok=True)


def _look(probe: str, ending: str, home: str, paths: list[str]) -> _Seen:
    """What a node sees; runs there."""
    at_home(home)
    wrong = ""
    if not _appears(Path(probe)):
        wrong = "what is written here does not appear there"
    else:
        try:
            Path(f"{probe}.{ending}").touch()
        except OSError as error:
            wrong = f"cannot be written there: {error.strerror}"
    return _Seen(__version__, wrong, next((path for path in paths if not _is_there(path)), ""))


def _is_there(path: str) -> bool:
    return Path(path.removeprefix("file://")).exists()


def _appears(path: Path) -> bool:
    until = time.monotonic() + _APPEARS_S
    while not path.exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _name(node: dict[str, str]) -> str:
    return f"node {node['NodeManagerAddress']} ({node['NodeManagerHostname']}, {node['NodeID'][:8]})"
