"""Executors: the same task over many items, in this process or in several. One task, one merge.

Workers are forked from a server that has imported what a scan needs and done nothing else: no kernel has run in it and
no pool of threads was started, so there is nothing that a fork could catch half-way (where pyarrow comes with jemalloc,
that has a thread in the background, and handlers that see it through a fork). Each worker has a core to itself:
the thread pools of the libraries hold one thread there, unless the environment says otherwise.
"""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from detectors.errors import FoxingError

__all__ = [
    "ONE_THREAD",
    "Executor",
    "Outcome",
    "Prepared",
    "Process",
    "Serial",
    "TaskError",
    "attempt",
    "executor_for",
    "usable_cores",
]

T = TypeVar("T")
R = TypeVar("R")
_IN_FLIGHT_PER_WORKER = 2
_MAX_DEATHS = 2
_SERVER_ENDS_S = 0.2
_PRELOADED = ("audit.measure", "detectors.words", "numba.np.arraymath", "numba.np.npyimpl")
# OMP_NUM_THREADS is Arrow's too.
ONE_THREAD = dict.fromkeys(
    "OMP_NUM_THREADS ARROW_IO_THREADS POLARS_MAX_THREADS RAYON_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS "
    "NUMBA_NUM_THREADS".split(),
    "1",
)


class TaskError(Exception):
    """What a task raised, as one line of text: exceptions of workers may not survive the way back."""


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """One item and either its value or its error.

    Attributes:
        item: what was asked for.
        value: what the task returned; None when it raised.
        error: what the task raised; None when it returned.
    """

    item: T
    value: R | None
    error: Exception | None


class Executor(Protocol):
    """Runs a task over items. Outcomes come as they finish: what is merged from them must not depend on order."""

    def map(self, task: Callable[[T], R], items: Iterable[T]) -> Iterator[Outcome[T, R]]:
        """Outcomes, one an item; a task that raises gives an outcome with its error and stops nothing."""
        ...

    def reach(self, folder: Path, inputs: Iterable[str]) -> None:
        """Make sure that workers can write to a folder, which is there, and read the inputs.

        Raises:
            OutputError: a worker does not see the folder, or may not write to it.
            InputError: a worker does not see an input.
        """
        ...


@runtime_checkable
class Prepared(Protocol):
    """A task with something to do once on each machine before several workers start there; optional."""

    def prepare(self) -> None:
        """Do it: what workers then find, such as compiled kernels, they do not make again."""
        ...


@dataclass(frozen=True)
class _Guarded(Generic[T, R]):
    """A task that returns its error; a class so that it can be sent to a worker."""

    task: Callable[[T], R]

    def __call__(self, item: T) -> Outcome[T, R]:
        return attempt(self.task, item)


def attempt(task: Callable[[T], R], item: T) -> Outcome[T, R]:
    """Run a task on one item and return its error instead of raising it."""
    try:
        return Outcome(item, task(item), None)
    except Exception as error:  # noqa: BLE001 - an item's error belongs to the item, whatever it is
        return Outcome(item, None, _portable(error))


def _portable(error: Exception) -> Exception:
    if isinstance(error, FoxingError):
        return error
    return TaskError(f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": "))


@dataclass(frozen=True)
class Serial:
    """One item after another, in this process."""

    def map(self, task: Callable[[T], R], items: Iterable[T]) -> Iterator[Outcome[T, R]]:
        """Outcomes in the order of the items."""
        return map(_Guarded(task), items)

    def reach(self, folder: Path, inputs: Iterable[str]) -> None:
        """Nothing to make sure of: this process is the worker."""


@dataclass(frozen=True)
class Process:
    """Several processes on this machine. A worker that dies takes no item with it: its items run again.

    Attributes:
        workers: number of processes.
    """

    workers: int

    def start(self) -> None:
        """Begin what workers are made from, in the background: the caller has something else to do first."""
        _context()

    @contextmanager
    def beside(self, task: Callable[[T], object], items: Iterable[T]) -> Iterator[None]:
        """Run a task over items in all workers but one while the block runs; what is not begun by its end is not done.

        For work that the block would do itself in the end: nothing is returned, and errors are not looked at.
        """
        if self.workers < 2:
            yield
            return
        pool, others = _pool(self.workers - 1), set(multiprocessing.active_children())
        try:
            with suppress(BrokenProcessPool):
                for item in items:
                    _submitted(pool, _Guarded(task), item)
            yield
        except (KeyboardInterrupt, GeneratorExit):
            _terminate(pool, others)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def reach(self, folder: Path, inputs: Iterable[str]) -> None:
        """Nothing to make sure of: workers see what this process sees."""

    def map(self, task: Callable[[T], R], items: Iterable[T]) -> Iterator[Outcome[T, R]]:
        """Outcomes as they finish; at most two items a worker are in flight, so items may be a long stream."""
        guarded: _Guarded[T, R] = _Guarded(task)
        source = iter(items)
        while True:
            lost: list[T] = []
            with _pool(self.workers) as pool:
                yield from self._drain(pool, guarded, source, lost)
            if not lost:
                return
            # Whichever of them killed the worker, alone it can only hurt itself.
            yield from (_alone(guarded, item) for item in lost)

    def _drain(
        self,
        pool: ProcessPoolExecutor,
        guarded: _Guarded[T, R],
        source: Iterator[T],
        lost: list[T],
    ) -> Iterator[Outcome[T, R]]:
        flying: dict[Future[Outcome[T, R]], T] = {}
        others = set(multiprocessing.active_children())
        try:
            while True:
                while len(flying) < self.workers * _IN_FLIGHT_PER_WORKER and not lost:
                    item = next(source, None)
                    if item is None:
                        break
                    try:
                        flying[_submitted(pool, guarded, item)] = item
                    except BrokenProcessPool:
                        lost.append(item)
                if not flying:
                    return
                done, _ = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    item = flying.pop(future)
                    try:
                        outcome = future.result()
                    except BrokenProcessPool:
                        lost.append(item)
                    else:
                        yield Outcome(item, outcome.value, outcome.error)
        except (KeyboardInterrupt, GeneratorExit):
            _terminate(pool, others)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=_context(), initializer=_start_worker, initargs=(dict(os.environ),))


def _terminate(pool: ProcessPoolExecutor, others: Container[BaseProcess]) -> None:
    """End the workers of this process that are not among the others.

    One that dies while it writes leaves a part of a message, whose end the pool waits for as long as the pipe can be
    written to. Nobody shall: this process never does.
    """
    for process in multiprocessing.active_children():
        if process not in others:
            process.terminate()
    with suppress(AttributeError, OSError):  # not part of Python's promises
        pool._result_queue._writer.close()  # type: ignore[attr-defined]


def _submitted(pool: ProcessPoolExecutor, guarded: _Guarded[T, R], item: T) -> Future[Outcome[T, R]]:
    try:
        return pool.submit(guarded, item)
    except (EOFError, ConnectionError) as error:
        # The server was killed and is not gone yet; the next worker is made by another one once it is.
        time.sleep(_SERVER_ENDS_S)
        raise BrokenProcessPool(str(error)) from error


def _context() -> BaseContext:
    """How workers begin: forked from a server, which is started now, or afresh where the platform has no such thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    if getattr(multiprocessing.forkserver._forkserver, "_forkserver_pid", None) is None:
        context.set_forkserver_preload(list(_PRELOADED))
        with _one_thread():
            multiprocessing.forkserver.ensure_running()
        # Waited for, so that the time and memory of workers count as this process's own (`time foxing scan`).
        atexit.register(_stop_server)
    return context


def _stop_server() -> None:
    with suppress(AttributeError, OSError):  # not part of Python's promises
        multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within the block, processes begin with thread pools of one thread."""
    added = {name: value for name, value in ONE_THREAD.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _alone(guarded: _Guarded[T, R], item: T) -> Outcome[T, R]:
    for _ in range(_MAX_DEATHS):
        with _pool(1) as pool:
            try:
                outcome = _submitted(pool, guarded, item).result()
            except BrokenProcessPool:
                continue
            return Outcome(item, outcome.value, outcome.error)
    message = f"the worker died {_MAX_DEATHS} times with this item alone (killed, or out of memory?)"
    return Outcome(item, None, TaskError(message))


def _start_worker(environment: Mapping[str, str]) -> None:
    """Leave Ctrl-C to the parent, and never outlive it: an orphan would wait for work for ever.

    `environment` is that of the parent now, which may have credentials that it had not when the server was started.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(environment)
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    if "pyarrow" in sys.modules and os.environ["OMP_NUM_THREADS"] == "1":
        sys.modules["pyarrow"].set_cpu_count(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()


def _exit_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def executor_for(
    workers: int, executor: str = "local", *, ray_address: str | None = None, gpu: bool | None = False
) -> Executor:
    """The executor that was asked for.

    Args:
        workers: how many; 0 means one a core of this machine, or of the cluster.
        executor: `local` (Serial for one worker, Process for more) or `ray`.
        ray_address: of a Ray cluster; None takes RAY_ADDRESS, else starts Ray on this machine.
        gpu: with `ray`, whether each worker holds a GPU; None where the cluster has one.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    if executor == "ray":
        from audit.execute_ray import Ray

        return Ray(ray_address, workers, gpu)
    count = workers or usable_cores()
    return Serial() if count == 1 else Process(count)
