"""The Ray executor on a real cluster of several nodes on this machine: the same bytes as one process, whoever dies."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pytest

from audit import measure, signals
from audit.config import Config, ScanConfig
from audit.execute import Outcome, TaskError
from audit.execute_ray import Ray
from audit.findings_folder import Findings
from audit.ray_nodes import _judge, _Seen
from audit.rules import rules_from
from audit.scan_run import Progress, ScanResult, scan
from audit.scanning import executor_of
from curricula.curate import Request, curate
from curricula.part_files import Layout
from detectors.ai_text import AiText
from detectors.documents import Documents
from detectors.errors import ConfigError, InputError, OutputError
from detectors.protocols import Device, Measure
from detectors.registry import load
from tests.audit.test_execute import descendants, die_always, fail_on_odd
from tests.code_blocks import blocks, command_lines
from tests.conftest import Answer
from tests.corpora import awkward_table, texts, write_parquet, write_texts

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

try:
    import ray
except ImportError:
    pytest.skip("ray is not installed. To run these tests: pip install 'foxing[ray]'", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
STORE = 100_000_000
LIGHT = ("document", "near_dup")


@dataclasses.dataclass(frozen=True)
class Nodes:
    """A cluster; one of its nodes says that it has a GPU."""

    cluster: Cluster
    with_gpu: Any

    @property
    def address(self) -> str:
        return str(self.cluster.address)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """A head without cores and three nodes of one core each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # beside other tests they would hardly get on
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.delenv("RAY_ADDRESS", raising=False)
        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        found = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                found.add_node(num_cpus=1, object_store_memory=STORE)
            yield Nodes(found, found.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE))
        finally:
            ray.shutdown()
            found.shutdown()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some twenty units: Parquet files that are cut, and a JSONL file that is not."""
    folder = tmp_path_factory.mktemp("corpus") / "data"
    write_parquet(folder / "a.parquet", awkward_table(1200))
    write_texts(folder / "sub" / "b.parquet", list(texts(350, 2)), rows_per_group=50)
    (folder / "c.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in texts(60, 3)))
    return folder


@pytest.fixture
def corpus(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data, and units that are small enough for it."""
    monkeypatch.setattr(measure, "PART_BYTES", 40_000)
    return data


@pytest.fixture(scope="module")
def one(data: Path) -> ScanResult:
    """The scan of them in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "PART_BYTES", 40_000)
        return scan([str(data)], data.parent / "one", config(None))


def config(cluster: Nodes | None, *names: str, **values: object) -> Config:
    where = {"executor": "ray", "ray_address": cluster.address} if cluster else {"workers": 1}
    return Config(scan=ScanConfig(signals=names or LIGHT, **where, **values))  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    """Every file of an output, byte for byte; which process held it is none of it."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def actors() -> list[int]:
    """Processes of actors of the cluster that this process has started."""
    return [pid for pid in descendants(os.getpid()) if b"_Worker" in _title(pid)]


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Once:
    """Does something at the first part that is measured."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act: Callable[[], object] | None = act
        self.rows = [0]

    def __call__(self, progress: Progress) -> None:
        if progress.phase == "measure":
            self.rows.append(progress.rows)
            if self.act is not None:
                act, self.act = self.act, None
                act()


def test_outcomes_are_those_of_one_process(cluster: Nodes) -> None:
    outcomes = {outcome.item: outcome for outcome in Ray(cluster.address).map(fail_on_odd, range(10))}
    assert set(outcomes) == set(range(10))
    assert [outcomes[i].value for i in (0, 2, 4)] == [0, 2, 4]
    assert isinstance(outcomes[1].error, InputError) and str(outcomes[1].error) == "1: odd"
    assert isinstance(outcomes[3].error, TaskError) and "3 is divisible by three" in str(outcomes[3].error)


def test_findings_and_shards_are_byte_for_byte_those_of_one_process(
    corpus: Path, one: ScanResult, tmp_path: Path, cluster: Nodes
) -> None:
    seen = Once(lambda: None)
    many = scan([str(corpus)], tmp_path / "many", config(cluster), on_progress=seen)
    assert files(one.findings.directory) == files(tmp_path / "many")
    assert sum(len(shard.parts) for shard in many.findings.shards) > 10
    assert (one.measured_rows, one.text_bytes, one.faults) == (many.measured_rows, many.text_bytes, many.faults)
    assert seen.rows == sorted(set(seen.rows)) and seen.rows[-1] == 1610, "every unit is counted, and once"
    request = Request(curriculum=("dedup", "shuffled"), layout=Layout(unit_bytes=1))
    for result, executor in ((one, None), (many, Ray(cluster.address))):
        out = tmp_path / f"{result.findings.directory.name}-out"
        assert (
            curate(result.findings, rules_from({}), out, request, executor=executor).manifest.totals()["rows"] == 1610
        )
    made, same = files(tmp_path / "one-out"), files(tmp_path / "many-out")
    assert made.pop("manifest.json") and same.pop("manifest.json"), "the one that names the folder of findings"
    assert made == same and any(name.startswith("data/") for name in made)


# Words that make a command of the document cheap; the last one of an option counts.
FEWER = {
    "scan": ["--signals", "document,ai_text", "--stages", ""],
    "probe": ["--generate", "tests.audit.test_ray:answers"],
    "trial": "--tokens 500 --seeds 1 --width 16 --layers 1 --heads 2 --vocabulary 300 --block 32 --device cpu".split(),
}


def test_commands_of_the_document_run_as_they_stand_there(
    tmp_path: Path, cluster: Nodes, monkeypatch: pytest.MonkeyPatch, foxing: Callable[..., Answer]
) -> None:
    assert [outcome.value for outcome in Ray(cluster.address, 1).map(fail_on_odd, [2])] == [2]  # connected
    (found,) = [block.commands for block in blocks("docs/scale.md") if "--executor ray" in block.text]
    (pip, *install), *commands = (shlex.split(line) for line in found)
    wanted = [sys.executable, "-m", pip, *install, "--dry-run", "--no-index", "--disable-pip-version-check"]
    installed = subprocess.run(wanted, capture_output=True, text=True)
    assert installed.returncode == 0 and "does not provide the extra" not in installed.stderr, installed
    assert [words[1] for words in commands] == ["scan", "curate", "probe", "trial"]
    write_texts(tmp_path / "corpus" / "a.parquet", list(texts(30, 1)))
    for seed, name in enumerate(("data-a/a", "data-b/b", "held-out")):
        write_texts(tmp_path / f"{name}.parquet", list(texts(10, seed)))
    rows = [
        {"question": f"What is the capital of {c}?", "answers": [f"t{c}"], "relation": "capital"} for c in "abcdefghij"
    ]
    write_parquet(tmp_path / "qa" / "a.parquet", pa.Table.from_pylist(rows))
    monkeypatch.chdir(tmp_path)
    said = {}
    for _, command, *words in commands:
        if command == "trial":
            pytest.importorskip("torch", reason="torch is not installed: pip install 'foxing[train]' to run this test")
        answer = foxing(command, *words, *FEWER.get(command, ()))
        assert answer.code == 0, answer.err
        said[command] = answer.out
    assert re.search(r"HighlyKnown +50\.0 %", said["probe"])
    assert "control a; 1 seed" in said["trial"]


def test_the_bench_of_the_document_sets_ways_side_by_side(
    tmp_path: Path, cluster: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.bench import ray as bench

    (line,) = [line for line in command_lines("docs/bench.md") if line == f"python -m {bench.__name__}"]
    write_texts(tmp_path / "bench" / "human_web_40k.parquet", list(texts(20)))
    monkeypatch.setenv("FOXING_DATA", str(tmp_path))
    # One process for all ways, and the cluster that is there.
    monkeypatch.setattr(bench, "_separate", lambda way, corpus, out: bench._scan(way, str(corpus), out))
    monkeypatch.setattr(bench, "_ITEMS", 20)
    assert [outcome.value for outcome in Ray(cluster.address, 1).map(fail_on_odd, [2])] == [2]
    fewer = ["--files", "2", "--rounds", "1", "--ways", "serial,ray_one", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [bench.__name__, *line.split()[3:], *fewer])
    assert bench.main() == 0
    record = json.loads(next(tmp_path.glob("ray-*.json")).read_text("utf-8"))
    assert record["units"] == 2 and set(record["ways"]) == {"serial", "ray_one"}
    assert record["driver"]["items_per_s"] > 0


def test_only_items_that_are_needed_soon_are_taken(cluster: Nodes) -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    outcomes = Ray(cluster.address, workers=1).map(fail_on_odd, source())
    for _ in range(3):
        next(outcomes)
    assert taken <= 8
    outcomes.close()  # type: ignore[attr-defined]


def test_a_scan_outlives_its_workers(corpus: Path, one: ScanResult, tmp_path: Path, cluster: Nodes) -> None:
    killed: list[int] = []

    def kill() -> None:
        killed.extend(actors()[:2])
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    seen = Once(kill)
    scan([str(corpus)], tmp_path / "many", config(cluster), on_progress=seen)
    assert killed and seen.rows == sorted(set(seen.rows)) and seen.rows[-1] == 1610
    assert files(one.findings.directory) == files(tmp_path / "many")


def test_an_item_whose_worker_ray_kills_for_the_memory_of_the_node_runs_again(
    cluster: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, killed = ray.get, []

    def short_of_memory(call: Any) -> Any:
        answer = get(call)
        if not killed and isinstance(answer, Outcome):
            killed.append(answer)
            raise ray.exceptions.OutOfMemoryError("The node is low on memory.")  # as Ray 2.60 does, and no other error
        return answer

    monkeypatch.setattr(ray, "get", short_of_memory)
    outcomes = [*Ray(cluster.address, 2).map(fail_on_odd, range(0, 12, 2))]
    assert killed and sorted(str(outcome.value) for outcome in outcomes) == ["0", "10", "2", "4", "6", "8"]


def test_an_item_that_kills_every_worker_becomes_an_error_and_costs_no_other(cluster: Nodes) -> None:
    outcomes = [*Ray(cluster.address).map(die_always, range(8))]
    assert sorted(outcome.item for outcome in outcomes) == list(range(8))
    by_item = {outcome.item: outcome for outcome in outcomes}
    assert "the worker died 3 times" in str(by_item[3].error)
    assert [by_item[i].value for i in (0, 1, 2, 4, 5, 6, 7)] == [0, 1, 2, 4, 5, 6, 7]


@dataclasses.dataclass(frozen=True)
class Deadly:
    """Kills its process on a text that holds a certain word, as one that takes all memory would."""

    name: ClassVar[str] = "deadly"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("text",)
    schema: ClassVar[pa.Schema] = pa.schema([pa.field("size", pa.int64())])

    def load(self, device: Device) -> Measure:
        def run(documents: Documents) -> pa.RecordBatch:
            found = documents.texts()
            if any(text and "kryptonite" in text for text in found):
                os.kill(os.getpid(), signal.SIGKILL)
            return pa.record_batch([pa.array([len(text or "") for text in found], pa.int64())], schema=self.schema)

        return run


def test_rows_that_kill_every_worker_are_named_and_the_other_files_are_measured(
    tmp_path: Path, cluster: Nodes, monkeypatch: pytest.MonkeyPatch, foxing: Callable[..., Answer]
) -> None:
    monkeypatch.setattr(measure, "PART_BYTES", 20_000)
    monkeypatch.setattr(signals, "load", lambda group, name: Deadly if name == "deadly" else load(group, name))
    found = list(texts(300, 4))
    found[150] = "kryptonite"
    write_texts(tmp_path / "data" / "bad.parquet", list(found), rows_per_group=100)
    write_texts(tmp_path / "data" / "good.parquet", list(texts(80, 5)))
    out, address = tmp_path / "out", cluster.address
    answer = foxing(
        *("scan", tmp_path / "data", "-o", out, "--signals", "document,deadly"),
        *("--executor", "ray", "--ray-address", address, "--workers", 1),
    )
    assert answer.code == 2
    assert "bad.parquet: rows 100 to 199: the worker died 3 times" in answer.err
    assert [(shard.key, shard.rows) for shard in Findings.open(out).shards] == [("good", 80)]


def test_kernels_are_prepared_once_a_node_and_a_broken_signal_says_so(tmp_path: Path, cluster: Nodes) -> None:
    tasks = Preparing(tmp_path)
    assert sorted(str(outcome.value) for outcome in Ray(cluster.address).map(tasks, range(12))) == ["True"] * 12
    assert 1 <= len(list(tmp_path.glob("prepared-*"))) <= 3
    with pytest.raises(InputError, match="no such model"):
        list(Ray(cluster.address).map(Preparing(tmp_path, fails=True), range(3)))


@dataclasses.dataclass(frozen=True)
class Preparing:
    """A task that leaves a file for each node that it was prepared on, which must not be there before."""

    folder: Path
    fails: bool = False

    def prepare(self) -> None:
        if self.fails:
            raise InputError("no such model")
        (self.folder / f"prepared-{ray.get_runtime_context().get_node_id()}").touch(exist_ok=False)

    def __call__(self, number: int) -> bool:
        return (self.folder / f"prepared-{ray.get_runtime_context().get_node_id()}").exists()


def test_an_output_folder_that_nodes_do_not_see_is_refused_at_the_start(
    corpus: Path, tmp_path: Path, cluster: Cluster
) -> None:
    (tmp_path / "here").mkdir()
    handle = os.open(tmp_path / "here", os.O_RDONLY)
    try:
        alone = Path(f"/proc/self/fd/{handle}/out")  # another folder, or none, in every other process
        with pytest.raises(OutputError, match=r"not the same folder on node .*storage that all nodes have mounted"):
            scan([str(corpus)], alone, config(cluster))
    finally:
        os.close(handle)
    assert not list((tmp_path / "here").rglob("*.parquet"))


def test_an_input_that_nodes_do_not_see_is_refused_at_the_start(tmp_path: Path, cluster: Nodes) -> None:
    (tmp_path / "in").mkdir()
    write_texts(tmp_path / "in" / "a.parquet", ["x"])
    handle = os.open(tmp_path / "in", os.O_RDONLY)
    alone = f"/proc/self/fd/{handle}/a.parquet"
    (tmp_path / "out").mkdir()
    try:
        with pytest.raises(InputError, match=r"a\.parquet: is not there on node "):
            Ray(cluster.address).reach(tmp_path / "out", ["s3://bucket/passed-over", "/gone-here-too", alone])
    finally:
        os.close(handle)
    assert not list((tmp_path / "out").iterdir()), "no probe is left behind"


def test_a_node_with_another_foxing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"node x: has foxing 0\.0\.1, here is .* Install the same on every node"):
        _judge("node x", _Seen("0.0.1", "", ""), Path("out"), True)


def gpus(number: int) -> str:
    return str(ray.get_gpu_ids()) + os.environ.get("CUDA_VISIBLE_DEVICES", "")


def test_actors_hold_a_gpu_where_the_cluster_has_one_and_a_model_may_use_it(cluster: Nodes) -> None:
    held = {wanted: {o.value for o in Ray(cluster.address, 0, wanted).map(gpus, range(4))} for wanted in (None, True)}
    assert held == {None: {"[0]0"}, True: {"[0]0"}}
    assert {o.value for o in Ray(cluster.address, 0, False).map(gpus, range(4))} == {"[]"}
    model = AiText(tier="custom", model="some-model")
    settings = ScanConfig(executor="ray", ray_address=cluster.address)
    assert executor_of(settings, [model]) == Ray(cluster.address, 0, None)
    assert executor_of(dataclasses.replace(settings, device="cuda"), [model]) == Ray(cluster.address, 0, True)
    assert executor_of(dataclasses.replace(settings, device="cpu"), [model]) == Ray(cluster.address, 0, False)
    assert executor_of(settings, [AiText()]) == Ray(cluster.address, 0, False), "the bundled model needs none"


class Absent:
    """A task whose module is not there in any other process."""

    def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
        return only_here, (os.getpid(),)

    def __call__(self, number: int) -> int:
        return number


def only_here(process: int) -> Absent:
    if os.getpid() != process:
        raise ModuleNotFoundError("No module named 'plugin'")
    return Absent()


def test_a_task_that_no_node_can_load_is_an_error(cluster: Nodes) -> None:
    with pytest.raises(ConfigError, match=r"cannot take its task .*'plugin'.* Install on every node"):
        list(Ray(cluster.address).map(Absent(), range(3)))


def test_addresses_of_clients_and_of_nothing_are_refused(cluster: Nodes) -> None:
    with pytest.raises(ConfigError, match="Run foxing on a node of the cluster"):
        list(Ray("ray://127.0.0.1:10001").map(fail_on_odd, [2]))


def test_a_lost_driver_is_resumed(tmp_path: Path, cluster: Nodes) -> None:
    for number in range(40):
        write_texts(tmp_path / "data" / f"{number:02d}.parquet", list(texts(200, number)))
    scan([str(tmp_path / "data")], tmp_path / "one", config(None))
    command = [
        *(sys.executable, "-c", "from curricula.cli import main; main()", "scan", str(tmp_path / "data")),
        *("-o", str(tmp_path / "many"), "--isolated", "--signals", ",".join(LIGHT)),
        *("--executor", "ray", "--ray-address", cluster.address),
    ]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "many" / "findings").glob("near_dup/*/part-*"))) < 2:
        assert time.monotonic() < deadline and driver.poll() is None
        time.sleep(0.002)
    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    assert not (tmp_path / "many" / "scan.json").exists(), "it was killed before it was done"
    assert 0 < scan([str(tmp_path / "data")], tmp_path / "many", config(cluster)).measured_rows < 8_000
    assert files(tmp_path / "one") == files(tmp_path / "many")


def answers(prompts: Sequence[str], *, samples: int, **_: object) -> list[list[str]]:
    """Knows the capitals of countries up to e."""
    letters = [prompt.rsplit("capital of ", 1)[1][0] for prompt in prompts]
    return [[f" {'t' + letter if letter < 'f' else 'no'}\nQ: more"] * samples for letter in letters]


def test_probes_on_the_cluster_find_what_one_process_finds(
    tmp_path: Path, cluster: Nodes, foxing: Callable[..., Answer]
) -> None:
    (tmp_path / "qa").mkdir()
    for part in range(3):
        rows = [{"question": f"What is the capital of {c}{part}?", "answers": [f"t{c}"]} for c in "abcdefghij"]
        table = pa.Table.from_pylist([{**row, "relation": "capital"} for row in rows])
        write_parquet(tmp_path / "qa" / f"{part}.parquet", table)
    client = ("--generate", "tests.audit.test_ray:answers")
    one = foxing("probe", tmp_path / "qa", "-o", tmp_path / "one", *client)
    assert one.code == 0, one.err
    where = ("--executor", "ray", "--ray-address", cluster.address, "--workers", 2)
    pool = ("--pool", tmp_path / "one" / "exemplars.jsonl")
    many = foxing("probe", tmp_path / "qa", "-o", tmp_path / "many", *client, *where, *pool)
    assert many.code == 0, many.err
    assert one.out.replace(f"{tmp_path}/one", "") == many.out.replace(f"{tmp_path}/many", "")
    assert "HighlyKnown   50.0 %" in one.out
    kept = {name: held for name, held in files(tmp_path / "one").items() if name.startswith("findings")}
    assert kept == {name: held for name, held in files(tmp_path / "many").items() if name.startswith("findings")}


def test_a_scan_outlives_a_node_and_what_only_that_had_is_missed(
    corpus: Path, one: ScanResult, tmp_path: Path, cluster: Nodes
) -> None:
    seen = Once(lambda: cluster.cluster.remove_node(cluster.with_gpu))
    scan([str(corpus)], tmp_path / "many", config(cluster), on_progress=seen)
    assert seen.act is None and seen.rows == sorted(set(seen.rows)) and seen.rows[-1] == 1610
    assert files(one.findings.directory) == files(tmp_path / "many")
    with pytest.raises(ConfigError, match="the Ray cluster has no GPU"):
        list(Ray(cluster.address, gpu=True).map(fail_on_odd, range(2)))
