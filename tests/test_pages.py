"""The pages of the docs run from their text alone, line by line, and end in what they promise."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml

from curricula.cli import foxing as foxing_group
from tests.code_blocks import ROOT, Page, blocks
from tests.corpora import texts
from tests.detectors.tiny_models import need_torch
from tests.stores import S3Server
from tests.test_hooks import BIN, SETTINGS, action, data, git, parquet, run

Run = Callable[..., Any]
RESIDUE = "As an AI language model, I cannot help with that. Is there anything else I can help you with today? "
ONE_PROCESS = {"scan": ["--workers", "1"]}


def block(document: str, language: str, opening: str = "") -> str:
    """The text of the one block of that language, or of that first line."""
    (found,) = [each.text for each in blocks(document) if each.language == language and each.text.startswith(opening)]
    return found


@pytest.fixture(scope="module")
def corpus() -> dict[str, pl.DataFrame]:
    """Pages of a manual that people wrote, and a content farm, with two answers of an assistant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "samples"))
        from machine_text import compose
        from make_samples import handbook_pages

        manual, farm = list(handbook_pages())[:120], [one.text for one in compose(78)]
    made = {"handbook": ("manuals", manual), "farm": ("farms", [*farm, RESIDUE * 6, RESIDUE * 6])}
    return {name: pl.DataFrame({"text": each}).with_columns(domain=pl.lit(of)) for name, (of, each) in made.items()}


@pytest.fixture
def here(tmp_path: Path, corpus: dict[str, pl.DataFrame], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands are typed in, with the corpus."""
    monkeypatch.chdir(tmp_path)
    Path("corpus").mkdir()
    for name, frame in corpus.items():
        frame.write_parquet(f"corpus/{name}.parquet", row_group_size=40)
    return tmp_path


@pytest.fixture
def audited(here: Path, foxing: Run) -> Path:
    """The same with a scan of the corpus."""
    assert foxing("scan", "corpus", "-o", "audit", "--workers", "1").code == 0
    return here


def test_check_judges_what_it_is_given_and_forgives_what_was_known(here: Path, foxing: Run, s3: S3Server) -> None:
    shutil.move("corpus", "data")
    Path("foxing.toml").write_text("workers = 1\n", "utf-8")
    assert foxing("scan", "data", "-o", "audit", "--workers", "1").code == 0
    s3.send(Path("data"), "web")
    over = ("foxing check audit", "foxing check data/*.parquet", "foxing check 's3://bucket/web/*' --sample")
    over = (*over, "foxing check audit --format json --output-file baseline.json")
    page = Page("docs/check.md", foxing, exits=dict.fromkeys(over, 1))
    page.run()
    assert page.said[over[0]].splitlines()[:20] == page.said[over[1]].splitlines()[:20]
    assert "drawn" in page.said[over[2]]
    known = page.said["foxing check audit --baseline baseline.json"]
    assert re.search(r"^FX102 .* known ", known, re.MULTILINE)


def test_curate_writes_the_same_into_a_store_and_undo_gives_the_corpus_back(
    audited: Path, foxing: Run, s3: S3Server
) -> None:
    def away() -> None:
        shutil.move("back", "first")

    page = Page("docs/curate.md", foxing, before={"foxing undo s3://bucket/out -o back": away})
    page.run()
    local = {str(path.relative_to("out")): path for path in Path("out").rglob("*") if path.is_file()}
    assert [f"out/{name}" for name in sorted(local)] == s3.objects()
    assert all(s3.get(f"out/{name}") == path.read_bytes() for name, path in local.items() if name.endswith("parquet"))
    for back in (Path("first"), Path("back")):
        for name in ("handbook", "farm"):
            (file,) = back.rglob(f"{name}.parquet")
            assert pq.read_table(file).equals(pq.read_table(f"corpus/{name}.parquet"))


def test_curate_drops_no_row_that_is_machine_written_on_purpose(here: Path, foxing: Run) -> None:
    farm, place = pl.read_parquet("corpus/farm.parquet"), pl.int_range(80)
    marked = farm.with_columns(
        url=pl.when(place.is_between(40, 49))
        .then(pl.lit("https://textbooks.example/1"))
        .otherwise(pl.lit("https://a.example/1")),
        meta=pl.struct(generator=pl.when(place >= 60).then(pl.lit("a model")).otherwise(None)),
    )
    shutil.rmtree("corpus")
    Path("corpus/synthetic").mkdir(parents=True)
    marked[:40].write_parquet("corpus/synthetic/a.parquet")
    marked[40:].write_parquet("corpus/rest.parquet")
    assert foxing("scan", "corpus", "-o", "audit", "--workers", "1").code == 0
    Path("pyproject.toml").write_text(block("docs/curate.md", "toml"), "utf-8")
    words = ("curate", "audit", "--drop", "FX101", "--dry-run", "--format", "json", "--allow-loss", "1")
    without, given = (json.loads(foxing(*words, settings=asked).out) for asked in (False, True))
    flagged = without["total"]["hits"]["FX101"]
    assert without["total"]["dropped"] == {"FX101": flagged} and not without["total"]["exempt"]
    assert given["total"]["exempt"] == 40 + 10 + 20
    assert given["total"]["spared"] + given["total"]["dropped"].get("FX101", 0) == flagged
    assert given["sources"]["synthetic/a"]["spared"] > 10 and given["sources"]["rest"]["exempt"] == 30


def test_ledger_finds_nothing_new_in_an_unchanged_corpus_and_then_a_drift(here: Path, foxing: Run) -> None:
    for at, name in enumerate("abcdef"):
        pl.read_parquet("corpus/handbook.parquet")[at * 20 : at * 20 + 20].write_parquet(f"corpus/{name}.parquet")
    for name in ("handbook", "farm"):
        Path(f"corpus/{name}.parquet").unlink()
    page = Page("docs/ledger.md", foxing, instead={"/data/web": "corpus"}, more=ONE_PROCESS)
    page.run()
    scan, add = page.said
    assert "is the baseline" in page.said[add]
    page.run()
    assert "measured now: nothing" in page.said[scan] and "look 1 since the baseline" in page.said[add]
    for name in "abcdef":
        frame = pl.read_parquet(f"corpus/{name}.parquet")
        frame.with_columns(text=pl.concat_str(pl.lit(RESIDUE), "text")).write_parquet(f"corpus/{name}.parquet")
    page.type(scan)
    assert "measured now: 120 rows" in page.said[scan]
    page.exits = {add: 1}
    page.type(add)
    assert re.search(r"^Drift since audit 1 .*: FX102 assistant residue", page.said[add], re.MULTILINE)
    assert "look 2 since the baseline" in page.said[add]


def test_novelty_measures_every_field_of_its_table(here: Path, foxing: Run) -> None:
    from tests.detectors.test_knowledge import write_letter_model

    need_torch()
    write_letter_model(Path("MODEL"))
    text = (ROOT / "docs" / "novelty.md").read_text("utf-8")
    settings = block("docs/novelty.md", "toml").replace("HuggingFaceTB/SmolLM2-135M", "MODEL")
    Path("pyproject.toml").write_text(settings, "utf-8")
    for path in Path("corpus").glob("*.parquet"):
        pl.read_parquet(path).head(6).write_parquet(path)
    page = Page("docs/novelty.md", foxing, more=ONE_PROCESS)
    page.run()
    _, asked, told = page.said.values()
    table = text.partition("| field | what it is |")[2].partition("\n\n")[0]
    fields = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")}
    fields -= {"threshold"}
    assert len(fields) == 7 and all(re.search(rf"^  novelty.{name} ", told, re.MULTILINE) for name in fields)
    columns = ",".join(f"novelty.{name}" for name in fields)
    lines = foxing("findings", "audit", "--columns", columns).out.splitlines()
    assert len(lines) == 12 and all(None not in json.loads(line).values() for line in lines)
    assert "manuals" in asked and "farms" in asked


def test_probing_drops_what_the_model_does_not_know(
    tmp_path: Path, foxing: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.curricula.knowing_model import knowing_model

    need_torch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("MODEL").mkdir()
    shutil.move(knowing_model(Path("MODEL")).data, "qa.parquet")
    scan = "foxing scan qa.parquet -o audit --signals knowledge --text question"

    def settings() -> None:
        Path("foxing.toml").write_text(block("docs/probing.md", "toml"), "utf-8")

    judged = "foxing check probed --select FX401,FX403"
    page = Page("docs/probing.md", foxing, exits={judged: 1}, more=ONE_PROCESS, before={scan: settings})
    page.run()
    assert re.search(r"^FX401 .* over ", page.said[judged], re.MULTILINE)
    columns = ("--columns", "row,knowledge.category")
    asked = [foxing("findings", folder, *columns).out.splitlines() for folder in ("probed", "audit")]
    found = [[json.loads(line)["knowledge.category"] for line in lines] for lines in asked]
    assert found[0] == found[1] and len(found[0]) == 140
    kept = pl.read_parquet("tuned/data/**/*.parquet").height
    assert kept == 140 - found[0].count("Unknown") < 140
    assert "foxing.toml: ok" in foxing("config", "--check", settings=True).out


def test_probing_asks_a_function_as_it_is_written(tmp_path: Path, foxing: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    letters = "abcdefghij"
    facts = {"question": [f"capital of {one}?" for one in letters], "answer": [f"t{one}" for one in letters]}
    pl.DataFrame(facts).write_parquet("qa.parquet")
    client = (
        "class client:\n"
        "    def complete(prompt, temperature, seed):\n"
        "        letter = prompt.rsplit('capital of ', 1)[1][0]\n"
        "        return f' t{letter}' if letter < 'f' else ' no'\n\n"
    )
    Path("page_client.py").write_text(client + block("docs/probing.md", "python"), "utf-8")
    done = foxing("probe", "qa.parquet", "-o", "out", "--generate", "page_client:generate", "--estimator", "sampled")
    assert done.code == 0, done.err
    lines = foxing("findings", "out", "--columns", "knowledge.category").out.splitlines()
    assert [json.loads(line)["knowledge.category"] for line in lines] == ["HighlyKnown"] * 5 + ["Unknown"] * 5


def test_report_is_one_page_without_scripts_and_a_card_keeps_what_was_there(here: Path, foxing: Run) -> None:
    Path("README.md").write_text("---\nlicense: cc0-1.0\n---\n# Mine\n\nAs I wrote it.\n", "utf-8")
    page = Page("docs/report.md", foxing, more=ONE_PROCESS)
    page.run()
    html = Path("report.html").read_text("utf-8")
    assert "<script" not in html and not re.search(r"""(src|href)=["']?(https?:|//)""", html)
    card = Path("README.md").read_text("utf-8")
    assert "As I wrote it." in card and "license: cc0-1.0" in card and "machine_written_share:" in card
    done = foxing("report", "audit", "-o", "bare.html", "--no-text", "--no-curricula")
    assert done.code == 0 and RESIDUE.strip() in html
    assert RESIDUE.strip() not in Path("bare.html").read_text("utf-8") and RESIDUE.strip() not in card


def test_what_a_filter_leaves_is_what_the_formula_says(audited: Path, foxing: Run) -> None:
    (formula,) = [one.text.strip() for one in blocks("docs/report.md") if one.text.startswith("(")]
    left = compile(formula.replace(") f", ") * f"), "docs/report.md", "eval")
    said = foxing("report", "audit", "--format", "json", "--no-curricula", "--no-text").out
    none, *points = json.loads(said)["yield_curve"]["points"]
    there = none["left"]
    for point in points:
        kept = point["kept"]
        share = eval(left, {"s": none["left"], "F": 1 - kept, "f": point["human_lost"]})
        there = min(there, max(0.0, share) * kept)  # a stricter threshold never brings machine text back
        assert point["left"] == pytest.approx(there / kept)
    assert 0 < points[-1]["left"] < none["left"] / 2


def test_commands_of_the_questions_run(audited: Path, foxing: Run) -> None:
    lines = foxing("findings", "audit", "--columns", "shard,row", "--format", "csv").out.splitlines()
    labels = [f"{line},{int('farm' in line)}" for line in lines[1::4]]
    Path("labels.csv").write_text("\n".join([f"{lines[0]},label", *labels, ""]), "utf-8")
    shutil.copytree("audit", "old")

    def changed() -> None:
        frame = pl.read_parquet("corpus/farm.parquet")
        frame.head(40).write_parquet("corpus/farm.parquet")

    def copied() -> None:
        shutil.copytree("audit", "new")

    update, labelled = "foxing scan corpus -o audit --update", "foxing check audit --labels labels.csv"
    strict, compared = "foxing check audit --strict", "foxing compare old new"
    page = Page(
        "docs/faq.md",
        foxing,
        exits={labelled: 1, strict: 1},
        more=ONE_PROCESS,
        before={update: changed, compared: copied},
    )
    page.run()
    assert "measured now: 40 rows" in page.said[update]
    assert f"{len(labels)} labels" in page.said[labelled]
    assert "FX101" in page.said[compared]


def test_hooks_of_the_page_run_as_written(tmp_path: Path, foxing: Run) -> None:
    """The repository of the hooks stands at another address, and its hooks run from this environment."""
    if shutil.which("git") is None or not (BIN / "pre-commit").exists():
        pytest.skip("git or pre-commit is absent. Install git, and pre-commit with pip, to run this test.")
    ours, home = tmp_path / "ours", tmp_path / "data"
    for folder in (ours, home, tmp_path / "home"):
        folder.mkdir()
    hooks = (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8").replace("language: python", "language: system")
    (ours / ".pre-commit-hooks.yaml").write_text(hooks, "utf-8")
    (home / ".pre-commit-config.yaml").write_text(block("docs/check.md", "yaml", "repos:"), "utf-8")
    elsewhere = f'[url "{ours}"]\n\tinsteadOf = https://example.org/foxing\n'
    (tmp_path / "home" / ".gitconfig").write_text(elsewhere, "utf-8")
    (home / "foxing.toml").write_text(SETTINGS, "utf-8")
    for folder in (home, tmp_path / "in"):
        parquet(folder / "a.parquet", texts(30))
    signals = ("--signals", "document", "--workers", "1")
    assert foxing("scan", tmp_path / "in", "-o", tmp_path / "audit", *signals).code == 0
    assert foxing("curate", tmp_path / "audit", "-o", home / "curated", "--curriculum", "original").code == 0
    for folder in (ours, home):
        git(folder, "init", "-q", "-b", "main")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "begin", "--no-verify")
    git(ours, "tag", "v0.1.0")
    done = run([str(BIN / "pre-commit"), "run", "--all-files", "--color", "never"], home)
    assert done.returncode == 0 and done.stdout.count("Passed") == 3, done.stdout + done.stderr


def test_the_action_runs_with_the_inputs_of_the_page(tmp_path: Path, foxing: Run) -> None:
    (step,) = yaml.safe_load(block("docs/check.md", "yaml", "- uses:"))
    folder = data(tmp_path, "As an AI language model, I cannot smell flowers.")
    written = ("--format", "json", "--output-file", folder / "baseline.json")
    assert foxing("check", folder / "data", "--config", folder / "foxing.toml", *written, settings=True).code == 1
    inputs = {name.replace("-", "_"): value for name, value in step["with"].items()}
    done, output = action(folder, **inputs)
    assert done.returncode == 0 and output == "exit-code=0\n", done.stdout + done.stderr
    assert "no rule worse than in the baseline" in done.stdout and (folder / step["with"]["sarif-file"]).exists()


@pytest.mark.parametrize("name", ["check", "ledger", "report"])
def test_tables_of_options_name_those_of_the_command(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    table = text.partition("| option | what it does |")[2].partition("\n\n")[0]
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", "".join(row.split("|")[1] for row in table.splitlines()[2:])))
    command = foxing_group.get_command(click.Context(foxing_group), name)
    assert command is not None
    known = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
    assert len(named) > 6 and named <= known, named - known
