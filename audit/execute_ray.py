"""The Ray executor: the same task over the same items as in processes, by actors on the nodes of a cluster.

An actor keeps what its task has loaded from one item to the next. Ray itself repeats nothing here: an item whose actor
dies is given to another one by this module, which has yielded no outcome for it yet, so none can be counted twice.
Items are small descriptions; what tasks make goes to files that they rename into place.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from audit.execute import ONE_THREAD, Outcome, Prepared, TaskError, attempt
from audit.ray_nodes import at_home, connected, gone, reach
from detectors.compiling import compiling_told, tell_compiling
from detectors.errors import ConfigError, FoxingError, MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

__all__ = ["Ray"]

T = TypeVar("T")
R = TypeVar("R")
_IN_FLIGHT_PER_ACTOR = 2
_MAX_DEATHS = 3
_MAX_FAILED_STARTS = 3
_LOOK_EVERY_S = 1.0
_PATIENCE_S = 600.0


@dataclass(frozen=True)
class Ray:
    """Actors on a Ray cluster, a core each.

    Attributes:
        address: of the cluster, as Ray names it (`auto`, `HOST:6379`); None takes RAY_ADDRESS, else Ray is started on
            this machine. A program that has connected to Ray already stays connected to what it chose.
        workers: actors; 0 is one a core of the cluster, or one a GPU where they hold one.
        gpu: whether each actor holds a GPU; None where the cluster has any.
    """

    address: str | None = None
    workers: int = 0
    gpu: bool | None = False

    def __post_init__(self) -> None:
        try:
            import ray  # noqa: F401 - said before there is anything to lose
        except ImportError as error:
            raise MissingExtraError("ray, which --executor ray runs on,", "ray") from error

    def reach(self, folder: Path, inputs: Iterable[str]) -> None:
        """See whether every node that can hold an actor has the same foxing, the same folder and the inputs.

        Raises:
            OutputError: a node does not see the folder, or may not write to it.
            InputError: a node does not see an input. ConfigError: a node has another foxing, or does not answer.
        """
        reach(connected(self.address), folder, inputs)

    def map(self, task: Callable[[T], R], items: Iterable[T]) -> Iterator[Outcome[T, R]]:
        """Outcomes as they finish; at most two items an actor are in flight, so items may be a long stream.

        Raises:
            ConfigError: the cluster cannot be reached, has no GPU where one is asked for, no core becomes free, or
                actors die as they start.
        """
        ray = connected(self.address)
        crew: _Crew[T, R] = _Crew(ray, task, self._actors(ray))
        try:
            yield from crew.outcomes(iter(items))
        finally:
            crew.dismiss()

    def _actors(self, ray: ModuleType) -> _Actors:
        has = ray.cluster_resources()
        gpus = int(has.get("GPU", 0))
        if self.gpu and not gpus:
            raise ConfigError("--device cuda: the Ray cluster has no GPU. Add a node that has one, or --device cpu.")
        held = 1 if gpus and self.gpu is not False else 0
        return _Actors(self.workers or max(1, gpus if held else int(has.get("CPU", 1))), held)


@dataclass(frozen=True)
class _Actors:
    """How many actors, and how many GPUs each holds."""

    count: int
    gpus: int


class _Worker(Generic[T, R]):
    """What an actor is: it has the task, and what that keeps loaded, for as long as it lives."""

    def __init__(self, home: str, environment: dict[str, str]) -> None:
        # Before the task comes, and with it the libraries that look there.
        os.environ.update(environment)
        at_home(home)

    def begin(self, task: Callable[[T], R]) -> str:
        """Take the task. Returns the node that it is on."""
        import ray

        self._task = task
        return str(ray.get_runtime_context().get_node_id())

    def prepare(self) -> bool | None:
        """Begin what is done once a node. Returns as soon as kernels must be compiled, or when all is done.

        Returns:
            Whether they are kept for the next run; None where none is compiled.
        """
        self._said: SimpleQueue[bool | None] = SimpleQueue()
        self._preparing = Thread(target=self._prepare)
        self._preparing.start()
        return self._said.get()

    def _prepare(self) -> None:
        task = self._task
        with compiling_told(self._said.put):
            self._prepared = attempt(lambda _: task.prepare() if isinstance(task, Prepared) else None, None)
        self._said.put(None)

    def prepared(self) -> Outcome[None, None]:
        """What came of it."""
        self._preparing.join()
        return self._prepared

    def run(self, item: T) -> Outcome[None, R]:
        """The outcome of one item, which the driver has."""
        outcome = attempt(self._task, item)
        return Outcome(None, outcome.value, outcome.error)


@dataclass(eq=False)
class _Job(Generic[T]):
    """An item on its way.

    Attributes:
        item: what was asked for.
        deaths: of actors that may be its doing.
        alone: whether an actor has died with it, so that it is given out with nothing before or after it: an answer
            may be lost when the next item kills the actor at once, and whose doing that was is then not known.
    """

    item: T
    deaths: int = 0
    alone: bool = False


@dataclass(eq=False)
class _Member(Generic[T]):
    """An actor as the driver knows it.

    Attributes:
        handle: of Ray.
        node: that it is on; None until it says so.
        ready: whether it takes items.
        jobs: given to it and not answered, in order: the first is the one that it works on.
    """

    handle: Any
    node: str | None = None
    ready: bool = False
    jobs: deque[_Job[T]] = field(default_factory=deque)


class _Crew(Generic[T, R]):
    """The actors of one `map`, and what each of them is doing."""

    def __init__(self, ray: ModuleType, task: Callable[[T], R], actors: _Actors) -> None:
        self._ray = ray
        self._task = ray.put(task)
        self._prepares = isinstance(task, Prepared)
        self._count = actors.count
        self._kind = ray.remote(_Worker).options(
            num_cpus=1,
            num_gpus=actors.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        self._where = str(Path.cwd()), _environment()
        self._members: list[_Member[T]] = []
        self._calls: dict[Any, tuple[_Member[T], str]] = {}
        self._again: deque[_Job[T]] = deque()
        self._warm: dict[str, _Member[T] | None] = {}
        self._failed_starts = 0
        self._moved = time.monotonic()

    def outcomes(self, source: Iterator[T]) -> Iterator[Outcome[T, R]]:
        """Give items out and take outcomes in until there are no more."""
        ahead = _Ahead(source)
        while ahead or self._again or any(member.jobs for member in self._members):
            self._hire(ahead)
            self._give_out(ahead)
            for call in self._answered():
                member, what = self._calls.pop(call, (None, ""))
                if member is not None:
                    yield from self._take(member, what, call)

    def _hire(self, ahead: _Ahead[T]) -> None:
        """Actors up to the number wanted, while there is something left for another one to do."""
        waiting = sum(not member.jobs for member in self._members)
        while len(self._members) < self._count and waiting < len(self._again) + ahead.at_least(self._count):
            member: _Member[T] = _Member(self._kind.remote(*self._where))
            self._members.append(member)
            self._call(member, "begin", self._task)
            waiting += 1

    def _call(self, member: _Member[T], what: str, *arguments: object) -> None:
        self._calls[getattr(member.handle, what).remote(*arguments)] = (member, what)

    def _give_out(self, ahead: _Ahead[T]) -> None:
        for depth in range(_IN_FLIGHT_PER_ACTOR):
            for member in self._members:
                if member.ready and len(member.jobs) == depth and not any(job.alone for job in member.jobs):
                    job = self._again.popleft() if self._again and not depth else ahead.job()
                    if job is None:
                        return
                    member.jobs.append(job)
                    self._call(member, "run", job.item)

    def _answered(self) -> list[Any]:
        calls = list(self._calls)
        done, _ = self._ray.wait(calls, num_returns=1, timeout=_LOOK_EVERY_S)
        if done:
            self._moved = time.monotonic()
            done, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
            return list(done)
        if not any(member.ready for member in self._members) and time.monotonic() - self._moved > _PATIENCE_S:
            cores = self._ray.cluster_resources().get("CPU", 0)
            raise ConfigError(
                f"--executor ray: none of the {cores:.0f} cores of the cluster has been free for "
                f"{_PATIENCE_S / 60:.0f} minutes. Run the same command later: it goes on."
            )
        return []

    def _take(self, member: _Member[T], what: str, call: Any) -> Iterator[Outcome[T, R]]:
        try:
            answer = self._ray.get(call)
        except _deaths(self._ray) as error:
            yield from self._bury(member, error)
            return
        except self._ray.exceptions.RayError as error:
            if what != "run":
                raise ConfigError(
                    f"--executor ray: a worker cannot take its task ({_first_line(error)}). "
                    "Install on every node what is installed here, plugins too."
                ) from error
            # The value could not be sent, say; the actor lives.
            answer = Outcome(None, None, TaskError(_first_line(error)))
        if what == "run":
            self._failed_starts = 0
            yield Outcome(member.jobs.popleft().item, answer.value, answer.error)
        elif what == "begin":
            member.node = str(answer)
            self._settle(member)
        elif what == "prepare":
            if answer is not None:
                tell_compiling(answer)  # for the first node that has to, and for no other
            self._call(member, "prepared")
        else:
            if isinstance(answer.error, FoxingError):
                raise answer.error
            self._warm[str(member.node)] = None
            for other in self._members:
                other.ready = other.ready or other.node == member.node

    def _settle(self, member: _Member[T]) -> None:
        """An actor has begun on its node: the first one there prepares it, and the others wait for that."""
        node = str(member.node)
        if not self._prepares or self._warm.get(node, member) is None:
            member.ready = True
        elif node not in self._warm:
            self._warm[node] = member
            self._call(member, "prepare")

    def _bury(self, member: _Member[T], error: Exception) -> Iterator[Outcome[T, R]]:
        """An actor is dead. What it worked on has a death more, unless the node went; what waited for it has not."""
        self._members.remove(member)
        self._calls = {call: known for call, known in self._calls.items() if known[0] is not member}
        if self._warm.get(str(member.node)) is member:
            del self._warm[str(member.node)]
            for other in self._members:
                if other.node == member.node:
                    self._settle(other)
        if not member.jobs:
            self._failed_starts += not member.ready and not gone(self._ray, member.node, error)
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise ConfigError(
                    f"--executor ray: workers die as they start ({_first_line(error)}). "
                    "Install the same foxing on every node, and see that nodes have the memory."
                )
            return
        for job in member.jobs:
            job.alone = True
        job = member.jobs.popleft()
        self._again.extendleft(reversed(member.jobs))
        job.deaths += not gone(self._ray, member.node, error)
        if job.deaths < _MAX_DEATHS:
            self._again.appendleft(job)
        else:
            message = f"the worker died {_MAX_DEATHS} times with it (killed, or out of memory?)"
            yield Outcome(job.item, None, TaskError(message))

    def dismiss(self) -> None:
        """End all actors, whatever they are doing."""
        for member in self._members:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(member.handle)


class _Ahead(Generic[T]):
    """The items, with the next few known, so that no more actors begin than there is work for."""

    def __init__(self, source: Iterator[T]) -> None:
        self._source = source
        self._known: deque[_Job[T]] = deque()
        self._ended = False

    def __bool__(self) -> bool:
        return self.at_least(1) > 0

    def at_least(self, wanted: int) -> int:
        """How many are left, `wanted` at most."""
        while len(self._known) < wanted and not self._ended:
            try:
                self._known.append(_Job(next(self._source)))
            except StopIteration:
                self._ended = True
        return min(wanted, len(self._known))

    def job(self) -> _Job[T] | None:
        """The next item; None at the end."""
        return self._known.popleft() if self else None


def _deaths(ray: ModuleType) -> tuple[type[Exception], ...]:
    """What a call to a dead actor raises; where Ray killed it to save the node's memory that is no RayActorError."""
    errors = ray.exceptions
    return errors.RayActorError, errors.OutOfMemoryError, errors.NodeDiedError, errors.WorkerCrashedError


def _environment() -> dict[str, str]:
    """What workers find in their environment: one thread a library, unless it says otherwise here."""
    wanted = {**ONE_THREAD, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:1] + lines[-1:] if len(lines) > 1 else lines)[:300]
