"""A trial whose arms run in other processes, or on a Ray cluster, comes out as one that runs them here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from audit.cascade import Cascade
from audit.config import Config, ScanConfig
from audit.execute import Process
from audit.execute_ray import Ray
from audit.scan_run import scan
from audit.stages import run_stages
from detectors.errors import FoxingError
from tests.corpora import texts, write_parquet
from tests.detectors.tiny_models import need_torch, prose, write_encoder

need_torch()

from curricula.recipe import Recipe  # noqa: E402
from curricula.training import Job, Scratch  # noqa: E402
from curricula.trial import Arm, Trial, run_trial  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
JOB = Job(
    (),
    scratch=Scratch(width=16, layers=1, heads=2, vocabulary=300),
    recipe=Recipe(block=48, batch=8, micro=8, tokens=1_000, rate=1e-2),
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As workers have it: sums of floating-point numbers depend on how many threads share them."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes."""
    ray = pytest.importorskip("ray", reason="ray is not installed. To run this test: pip install 'foxing[ray]'")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.delenv("RAY_ADDRESS", raising=False)
        node = {"num_cpus": 1, "object_store_memory": 100_000_000}
        found = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        try:
            found.add_node(**node)
            yield str(found.address)
        finally:
            ray.shutdown()
            found.shutdown()


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    tmp_path = tmp_path_factory.mktemp("trial")
    for number, name in enumerate(("good", "other", "test")):
        write_parquet(tmp_path / f"{name}.parquet", pa.table({"text": texts(60, number)}))
    arms = (Arm("good", (str(tmp_path / "good.parquet"),)), Arm("other", (str(tmp_path / "other.parquet"),)))
    return Trial(arms, JOB, (str(tmp_path / "test.parquet"),), seeds=(1,), limit=4)


def without_time(folder: Path) -> object:
    return json.loads((folder / "trial.json").read_text().replace(str(folder), "OUT"))


def models(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


@pytest.fixture(scope="module")
def here(trial: Trial) -> Path:
    """What the trial leaves when it runs in this process."""
    out = Path(trial.tests[0]).parent / "here"
    run_trial(trial, out)
    return out


def test_arms_on_a_cluster_are_those_of_one_process(trial: Trial, here: Path, tmp_path: Path, cluster: str) -> None:
    told: list[float] = []
    run_trial(trial, tmp_path / "there", executor=Ray(cluster), on_progress=lambda done, _: told.append(done))
    assert without_time(here) == without_time(tmp_path / "there")
    assert models(here) == models(tmp_path / "there") != {}
    assert told[:2] == [0.5, 1.0]


def test_arms_in_processes_are_those_of_one_process_and_one_that_fails_is_named(
    trial: Trial, here: Path, tmp_path: Path
) -> None:
    (tmp_path / "out" / "other").mkdir(parents=True)
    (tmp_path / "out" / "other" / "seed-1").write_text("in the way")
    told: list[float] = []
    with pytest.raises(FoxingError) as raised:
        run_trial(trial, tmp_path / "out", executor=Process(2), on_progress=lambda done, _: told.append(done))
    assert "seed-1" in str(raised.value) or "other, seed 1" in str(raised.value)
    kept = models(tmp_path / "out")
    assert len(kept) >= 1 and kept.items() <= models(here).items(), "the other arm is kept"
    assert told == [0.5, 1.0]


def test_a_cascade_on_a_cluster_judges_as_in_one_process(tmp_path: Path, cluster: str) -> None:
    model = write_encoder(tmp_path / "encoder")
    write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": [prose(60 + i % 90, i) for i in range(200)]}))
    config = Config(scan=ScanConfig(signals=("ai_text",), stages=(), workers=1, sketches=False))
    found = {}
    for where in ("here", "there"):
        findings = scan([str(tmp_path / "in")], tmp_path / where, config).findings
        stage = Cascade(model=str(model), rows=130, device="cpu")
        if where == "there":
            stage = Cascade(model=str(model), rows=130, device="cpu", workers=2, executor="ray", ray_address=cluster)
        run_stages(findings, [stage], commit=lambda _: None, advance=lambda *_: None)
        parts = sorted((tmp_path / where / "findings" / "cascade").rglob("*.parquet"))
        found[where] = [part.read_bytes() for part in parts]
    assert found["here"] == found["there"] != []
