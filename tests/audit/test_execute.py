from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audit.config import ScanConfig
from audit.execute import Executor, Process, Serial, TaskError, executor_for
from detectors.errors import ConfigError, InputError
from tests.conftest import Answer


def double(number: int) -> int:
    return number * 2


def fail_on_odd(number: int) -> int:
    if number % 2:
        raise InputError(f"{number}: odd") if number % 3 else ValueError(f"{number} is divisible by three")
    return number


def die_once(path: Path) -> str:
    """Kills its own worker the first time it sees a path."""
    if not path.exists():
        path.write_text("died")
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def loaded(names: tuple[str, ...]) -> tuple[bool, int, int]:
    """Whether the modules are there before any is asked for; threads of this worker; threads that Arrow would use."""
    there = all(name in sys.modules for name in names)
    import pyarrow as pa

    return there, len(list(Path("/proc/self/task").iterdir())), pa.cpu_count()


def environment(name: str) -> str | None:
    return os.environ.get(name)


def die_always(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("executor", [Serial(), Process(2)], ids=["serial", "process"])
def test_every_item_gives_one_outcome_with_value_or_error(executor: Executor) -> None:
    outcomes = {outcome.item: outcome for outcome in executor.map(fail_on_odd, range(10))}
    assert set(outcomes) == set(range(10))
    assert [outcomes[i].value for i in (0, 2, 4)] == [0, 2, 4]
    assert isinstance(outcomes[1].error, InputError) and str(outcomes[1].error) == "1: odd"
    assert isinstance(outcomes[3].error, TaskError) and "3 is divisible by three" in str(outcomes[3].error)


def test_items_are_taken_only_as_they_are_needed() -> None:
    taken = 0

    def source() -> object:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    outcomes = Process(2).map(double, source())  # type: ignore[arg-type]
    next(outcomes)
    assert taken <= 6
    outcomes.close()  # type: ignore[attr-defined]


def test_items_of_a_dead_worker_run_again(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(3)]
    found = sorted(str(outcome.value) for outcome in Process(2).map(die_once, paths))
    assert found == ["0", "1", "2"]


def test_an_item_that_kills_every_worker_becomes_an_error_and_costs_no_other() -> None:
    outcomes = {outcome.item: outcome for outcome in Process(1).map(die_always, range(6))}
    assert set(outcomes) == set(range(6))
    assert "died" in str(outcomes[3].error)
    assert [outcomes[i].value for i in (0, 1, 5)] == [0, 1, 5]


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, pathlib, time\n"
        "from audit.execute import Process\n"
        "def work(name):\n"
        "    pathlib.Path(name).write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        f"    list(Process(1).map(work, [{str(tmp_path / 'pid')!r}]))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 30
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker = int((tmp_path / "pid").read_text())
    parent.kill()
    parent.wait()
    while Path(f"/proc/{worker}").exists():
        state = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            break
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def test_one_worker_needs_no_process() -> None:
    assert executor_for(1) == Serial()
    assert executor_for(3) == Process(3)


def test_an_interrupted_run_ends_its_own_workers_and_no_others() -> None:
    stranger = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    stranger.start()
    outcomes = Process(1).map(double, range(100))
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    try:
        assert stranger.is_alive()
        assert set(multiprocessing.active_children()) == {stranger}
    finally:
        stranger.kill()
        stranger.join()


def test_workers_come_with_what_a_scan_imports_and_one_thread_for_each_library() -> None:
    names = ("pyarrow", "numba", "audit.measure", "detectors.words")
    for outcome in Process(2).map(loaded, [names] * 4):
        assert outcome.value is not None
        there, running, arrow = outcome.value
        assert there and arrow == 1
        assert running <= 2, "the work, and the watch for the end of the parent"


def test_a_thread_limit_is_for_workers_only_and_the_users_own_stays() -> None:
    before = dict(os.environ)
    script = (
        "import os\n"
        "from audit.execute import Process\n"
        "from tests.audit.test_execute import environment\n"
        "if __name__ == '__main__':\n"
        "    names = ['POLARS_MAX_THREADS', 'RAYON_NUM_THREADS']\n"
        "    print(sorted(str(outcome.value) for outcome in Process(1).map(environment, names)))\n"
        "    print([os.environ.get(name) for name in names])\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    chosen = {**os.environ, "RAYON_NUM_THREADS": "3", "PYTHONPATH": root}
    chosen.pop("POLARS_MAX_THREADS", None)
    done = subprocess.run([sys.executable, "-c", script], env=chosen, capture_output=True, text=True, cwd=root)
    assert done.stdout.splitlines() == ["['1', '3']", "[None, '3']"], done.stderr
    assert dict(os.environ) == before


SLOW = """
import os, pathlib, sys, time
from audit.execute import Process

def work(number):
    folder = pathlib.Path(sys.argv[1])
    (folder / f"pid-{os.getpid()}").touch()
    time.sleep(60)

if __name__ == "__main__":
    try:
        list(Process(2).map(work, range(8)))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def descendants(parent: int) -> set[int]:
    """Processes below one, as /proc tells."""
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            child = int(path.parent.name)
            found |= {child} | descendants(child)
    return found


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_no_process_outlives_the_run(tmp_path: Path, ending: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(SLOW)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("pid-*"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    below = descendants(parent.pid)
    assert len(below) >= 3, "two workers and the server that they are forked from"
    if ending is signal.SIGINT:
        os.killpg(parent.pid, ending)  # a terminal sends it to every process of the job
        assert parent.wait(30) == 130
    else:
        parent.kill()
        parent.wait()
    while any(_runs(process) for process in below):
        assert time.monotonic() < deadline, "a process outlived the run"
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_time_of_workers_counts_as_the_runs_own(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import time\n"
        "from audit.execute import Process\n"
        "def burn(number):\n"
        "    while time.process_time() < 1.0:\n"
        "        pass\n"
        "if __name__ == '__main__':\n"
        "    list(Process(2).map(burn, range(2)))\n"
    )
    done = subprocess.Popen([sys.executable, str(script)])
    _, _, used = os.wait4(done.pid, 0)
    done.returncode = 0
    assert used.ru_utime + used.ru_stime > 1.5


def test_items_run_again_where_the_server_of_workers_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import multiprocessing.forkserver, os, signal, threading, time\n"
        "from audit.execute import Process\n"
        "def nap(number):\n"
        "    time.sleep(1)\n"
        "    return number\n"
        "def end():\n"
        "    os.kill(multiprocessing.forkserver._forkserver._forkserver_pid, signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    outcomes = Process(2).map(nap, range(4))\n"
        "    first = next(outcomes)\n"
        "    threading.Timer(0.5, end).start()\n"
        "    found = [first, *outcomes]\n"
        "    print(sorted(outcome.value for outcome in found), [o.error for o in found if o.error])\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[0, 1, 2, 3] []\n", done.stderr


def test_ray_needs_an_extra_and_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foxing: Callable[..., Answer]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "a.jsonl").write_text('{"text": "x"}')
    answer = foxing("scan", tmp_path / "a.jsonl", "-o", tmp_path / "out", "--executor", "ray")
    assert answer.code == 2 and "pip install 'foxing[ray]'" in answer.err
    assert not (tmp_path / "out").exists()


def test_an_address_of_a_cluster_is_for_ray(tmp_path: Path, foxing: Callable[..., Answer]) -> None:
    answer = foxing("scan", tmp_path, "-o", tmp_path / "out", "--ray-address", "auto")
    assert answer.code == 2 and "Add that" in answer.err
    with pytest.raises(ConfigError, match="executor = 'rya' is none of local, ray"):
        ScanConfig(executor="rya")


def test_a_helper_that_is_killed_before_all_items_are_given_does_no_harm(tmp_path: Path) -> None:
    def items() -> Iterator[Path]:
        yield tmp_path / "a"
        while multiprocessing.active_children():
            time.sleep(0.01)
        yield tmp_path / "b"

    with Process(2).beside(die_once, items()):
        assert (tmp_path / "a").exists() and not (tmp_path / "b").exists()


STOPPED = """
import time
from audit.execute import Process

def much(size):
    return bytes(size)

if __name__ == "__main__":
    for delay in range(12):
        outcomes = Process(2).map(much, iter([1, *[40_000_000] * 9]))
        next(outcomes)
        time.sleep(delay / 100)  # by then a worker is somewhere within its answer
        outcomes.close()
"""


def test_workers_that_are_ended_while_they_answer_hold_nothing_up(tmp_path: Path) -> None:
    """A worker that dies with half of its answer in the pipe: the pool must not wait for the other half."""
    (tmp_path / "stopped.py").write_text(STOPPED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, tmp_path / "stopped.py"], env=environment, check=True, timeout=60)


def named(variable: str) -> str | None:
    return os.environ.get(variable)


def test_workers_have_what_was_put_into_the_environment_since_the_first_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Credentials, say, of a notebook that has scanned before."""
    list(Process(2).map(double, [1]))
    monkeypatch.setenv("FOXING_TEST_LATE", "here")
    assert [outcome.value for outcome in Process(2).map(named, ["FOXING_TEST_LATE"])] == ["here"]
