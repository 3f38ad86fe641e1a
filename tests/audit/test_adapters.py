"""Adapters in the real libraries: datatrove, datasets and, in an environment of its own, data-juicer."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.adapters import column_name
from audit.in_memory import Judge
from detectors.errors import ConfigError
from tests.apart import program, run
from tests.corpora import texts

ROOT = Path(__file__).parent.parent.parent
RESIDUE = "As an AI language model, I cannot help with that. " * 8
ROWS: list[str | None] = [*texts(5), RESIDUE]
FIELDS = ("document.words", "ai_text.p_human", "rules", "dropped_by")
SIGNALS = ("document", "residue", "ai_text")


@pytest.fixture(scope="module")
def truth() -> dict[str, list[Any]]:
    """The findings of ROWS, each measured by itself: what any batch must give."""
    judge = Judge(SIGNALS, drop=("FX102",))
    single = [judge.columns([text], FIELDS) for text in ROWS]
    return {name: [one[name][0] for one in single] for name in FIELDS}


def test_a_rule_to_drop_by_must_exist_and_be_measured() -> None:
    for drop, match in (("FX301", "reads duplicates, which is not measured"), ("FX1O2", "no rule 'FX1O2'")):
        with pytest.raises(ConfigError, match=match):
            Judge(SIGNALS, drop=(drop,)).frame(["a text"])


def test_datatrove_pipeline_keeps_what_no_rule_drops(tmp_path: Path, truth: dict[str, list[Any]]) -> None:
    pytest.importorskip("datatrove", reason="datatrove is not installed: pip install 'foxing[test]'")
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    from audit.adapters.datatrove import FoxingFilter

    (tmp_path / "in").mkdir()
    ids = list(range(len(ROWS)))
    table = pa.table({"id": list(map(str, ids)), "text": ROWS, "page": ids})
    pq.write_table(table, tmp_path / "in" / "a.parquet")
    excluded = ParquetWriter(str(tmp_path / "dropped"))
    block = FoxingFilter(Judge(SIGNALS, drop=("FX102",)), fields=FIELDS, batch_size=4, exclusion_writer=excluded)
    steps = [
        ParquetReader(str(tmp_path / "in")),
        block,
        ParquetWriter(str(tmp_path / "out")),
    ]
    stats = LocalPipelineExecutor(steps, tasks=1, logging_dir=str(tmp_path / "log")).run()
    counted = stats.stats[1].to_dict()["stats"]
    assert (counted["forwarded"], counted["dropped_FX102"]) == (5, 1)
    kept, dropped = (
        [row for path in sorted((tmp_path / name).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
        for name in ("out", "dropped")
    )
    assert [one["id"] for one in kept] == ["0", "1", "2", "3", "4"] and [one["id"] for one in dropped] == ["5"]
    assert dropped[0]["metadata"]["filter_reason"] == "FX102"
    for name in FIELDS:
        found = [one["metadata"][column_name(name)] for one in (*kept, *dropped)]
        assert found == truth[name], name
    assert [one["metadata"]["page"] for one in kept] == [0, 1, 2, 3, 4]


def test_datasets_map_adds_typed_columns_even_when_the_first_batch_has_none(truth: dict[str, list[Any]]) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'foxing[test]'")
    from audit.adapters.datasets import Findings

    rows = [None, None, *ROWS]
    data = datasets.Dataset.from_dict({"text": rows, "page": list(range(len(rows)))})
    findings = Findings(Judge(SIGNALS, drop=("FX102",)), fields=FIELDS)
    made = data.map(findings, batched=True, batch_size=2, features=findings.features(data.features))
    assert made.column_names == ["text", "page", *map(column_name, FIELDS)]
    assert made.features["foxing_ai_text_p_human"].dtype == "float32"
    for name in FIELDS:
        assert made[column_name(name)][2:] == truth[name], name
        assert name == "rules" or made[column_name(name)][:2] == [None, None]
    kept = made.filter(lambda row: row["foxing_dropped_by"] is None)
    assert kept["page"] == [0, 1, 2, 3, 4, 5, 6]


def test_datasets_finds_its_cache_again_though_models_were_loaded_meanwhile() -> None:
    pytest.importorskip("datasets", reason="datasets is not installed: pip install 'foxing[test]'")
    from datasets.fingerprint import Hasher

    from audit.adapters.datasets import Findings

    findings = Findings(Judge(("document",)), fields=("document.words",))
    before = Hasher.hash(findings)
    assert findings({"text": ["one two three"]}) == {"foxing_document_words": [3]}
    assert Hasher.hash(findings) == before != Hasher.hash(Findings(Judge(("residue",)), fields=("document.words",)))
    with pytest.raises(ConfigError, match=r"no column 'text' in the data set\. There is: content"):
        findings({"content": ["x"]})


def _run(command: list[str], folder: Path) -> str:
    """What a program prints in a folder, with nothing to be fetched: data-juicer installs what it misses as it runs."""
    offline = {"HF_HUB_OFFLINE": "1", "UV_OFFLINE": "1", "PIP_NO_INDEX": "1", "HF_HOME": str(folder / "hf")}
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, **offline, "PYTHONPATH": paths}
    done = run(command, folder, environment, 300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _alone(script: str, folder: Path, python: str | Path = sys.executable) -> Any:
    """What a script prints as JSON in a process of its own, as a pipeline is run: workers are forked from it."""
    (folder / "pipeline.py").write_text(script, "utf-8")
    return json.loads(_run([str(python), "pipeline.py"], folder).splitlines()[-1])


def test_datasets_map_in_several_processes(tmp_path: Path, truth: dict[str, list[Any]]) -> None:
    pytest.importorskip("datasets", reason="datasets is not installed: pip install 'foxing[test]'")
    made = _alone(
        "import json, datasets\n"
        "from audit.adapters.datasets import Findings\n"
        "from audit.in_memory import Judge\n"
        f"data = datasets.Dataset.from_dict({{'text': {ROWS!r}}})\n"
        f"findings = Findings(Judge({SIGNALS!r}, drop=('FX102',)), fields={FIELDS!r})\n"
        "made = data.map(findings, batched=True, num_proc=2, features=findings.features(data.features))\n"
        "print(json.dumps(made.remove_columns('text').to_dict()))\n",
        tmp_path,
    )
    for name in FIELDS:
        assert made[column_name(name)] == truth[name], name


def test_types_are_those_of_the_columns() -> None:
    judge = Judge(SIGNALS)
    frame = judge.frame(ROWS)
    fields = [
        *("row", "unmeasured", "errors", "rules", "action", "dropped_by"),
        *(f"{signal}.{name}" for signal in SIGNALS for name in frame[signal].struct.fields),
    ]
    typed = pa.schema(list(judge.types(fields).items()))
    assert pa.Table.from_pydict(judge.columns(ROWS, fields), schema=typed).num_rows == len(ROWS)
    empty = pl.from_arrow(typed.empty_table())
    assert isinstance(empty, pl.DataFrame)
    for name, kind in empty.schema.items():
        signal, _, leaf = name.partition(".")
        assert kind == (frame[signal].struct.field(leaf).dtype if leaf else frame[name].dtype), name
    with pytest.raises(ConfigError, match=r"no column 'ai_text\.p_humn'.*'ai_text\.p_human'"):
        judge.types(["ai_text.p_humn"])


def test_data_juicer_operator_measures_as_we_do_in_several_processes(
    tmp_path: Path, truth: dict[str, list[Any]]
) -> None:
    kept, stats = _alone(
        "import json\n"
        "from data_juicer.core.data import NestedDataset\n"
        "from data_juicer.ops import load_ops\n"
        "from data_juicer.utils.constant import Fields\n"
        f"rows = {ROWS!r}\n"
        f"recipe = dict(signals={SIGNALS!r}, drop=['FX102'], fields={FIELDS!r}, num_proc=2, batch_size=4)\n"
        "(operator,) = load_ops([{'foxing_filter': recipe}])\n"
        "data = NestedDataset.from_dict({'text': rows, 'page': list(range(len(rows)))})\n"
        "kept = operator.run(data)['page']\n"
        "stats = operator.run(data, reduce=False)[Fields.stats]\n"
        "print(json.dumps([list(kept), list(stats)]))\n",
        tmp_path,
        program("python"),
    )
    assert kept == [0, 1, 2, 3, 4]
    for name in FIELDS:
        found = [one[column_name(name)] for one in stats]
        if name == "ai_text.p_human":  # the stats of data-juicer hold single precision, printed short
            found, truth[name] = (
                [-1.0 if value is None else value for value in values] for values in (found, truth[name])
            )
        assert found == (pytest.approx(truth[name], rel=1e-6) if name == "ai_text.p_human" else truth[name]), name


def test_data_juicer_runs_the_recipe_of_the_documents(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "adapters.md").read_text("utf-8")
    (recipe,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (command,) = re.findall(r"^    (dj-process .*)$", text, re.MULTILINE)
    (tmp_path / "recipe.yaml").write_text(recipe, "utf-8")
    lines = [json.dumps({"text": row, "page": page}) for page, row in enumerate(ROWS)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), "utf-8")
    program_name, *words = command.split()
    _run([str(program(program_name)), *words], tmp_path)
    kept, stats = (
        [json.loads(line) for line in (tmp_path / name).read_text("utf-8").splitlines()]
        for name in ("out.jsonl", "out_stats.jsonl")
    )
    assert [row["page"] for row in kept] == [0, 1, 2, 3, 4]
    assert [one["__dj__stats__"]["foxing_rules"] for one in stats] == [[]] * 5
