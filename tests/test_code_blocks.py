"""Every code block of the documents is run by a test, checked by one, or said to be no code."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.code_blocks import ROOT, Block, Page, blocks, is_test, quoted

# Where the blocks of a document are run. A test named for a block (by how it begins) comes before that of its document.
RUN_BY: dict[str, str] = {
    "README.md": "tests/test_pages_readme.py::test_every_other_command_runs_after_the_tour",
    "docs/adapters.md": "tests/test_guides.py::test_adapters_run_from_their_text_alone",
    "docs/api.md": "tests/test_api.py::test_every_example_runs_in_order",
    "docs/bench.md": "tests/test_pages_bench.py::test_benches_run_and_store_one_result",
    "docs/check.md": "tests/test_pages.py::test_check_judges_what_it_is_given_and_forgives_what_was_known",
    "docs/curate.md": "tests/test_pages.py::test_curate_writes_the_same_into_a_store_and_undo_gives_the_corpus_back",
    "docs/curricula.md": "tests/test_curricula_doc.py::test_every_command_runs_and_its_output_is_verified",
    "docs/ledger.md": "tests/test_pages.py::test_ledger_finds_nothing_new_in_an_unchanged_corpus_and_then_a_drift",
    "docs/novelty.md": "tests/test_pages.py::test_novelty_measures_every_field_of_its_table",
    "docs/peers.md": "tests/test_pages_bench.py::test_benches_run_and_store_one_result",
    "docs/probing.md": "tests/test_pages.py::test_probing_drops_what_the_model_does_not_know",
    "docs/reference.md": "tests/test_guides.py::test_reference_is_what_the_code_says",
    "docs/report.md": "tests/test_pages.py::test_report_is_one_page_without_scripts_and_a_card_keeps_what_was_there",
    "docs/tutorial.md": "tests/test_guides.py::test_the_tutorial_runs_from_its_text_alone",
    "samples/README.md": "tests/test_samples.py::test_the_line_of_the_readme_writes_the_same_bytes_where_it_says",
    "samples/plugin/README.md": "tests/test_plugin.py::test_every_command_of_its_readme_runs_and_uses_it",
}
# The tests among them that run blocks which are no command lines, too.
OF_ANY_KIND = ("docs/adapters.md", "docs/api.md", "docs/tutorial.md")
TOUR = "tests/test_pages_readme.py::test_make_demo_prints_the_tour_that_is_shown"
MODELS = "tests/test_pages_training.py::test_models_are_trained_and_write"
EXAMPLE = "tests/test_docs.py::test_signal_example_is_registered_scanned_and_judged_as_written"
JUICER = "tests/audit/test_adapters.py::test_data_juicer_runs_the_recipe_of_the_documents"
BLOCKS: dict[tuple[str, str], str] = {
    ("CONTRIBUTING.md", "make test"): (
        "tests/test_pages_bench.py::test_targets_for_contributors_run_the_suite_and_its_checks"
    ),
    ("CONTRIBUTING.md", '"""How much of a text is shouted'): EXAMPLE,
    ("CONTRIBUTING.md", "from shouting import"): (
        "tests/test_docs.py::test_signal_example_keeps_the_contract_as_written"
    ),
    ("CONTRIBUTING.md", "[project.entry-points"): EXAMPLE,
    ("CONTRIBUTING.md", "signals = "): EXAMPLE,
    ("README.md", "make demo"): TOUR,
    ("README.md", "$ foxing "): TOUR,
    ("README.md", "machine-written  "): TOUR,
    ("docs/check.md", "repos:"): "tests/test_pages.py::test_hooks_of_the_page_run_as_written",
    ("docs/check.md", "- uses: OWNER/foxing@v0.1.0"): (
        "tests/test_pages.py::test_the_action_runs_with_the_inputs_of_the_page"
    ),
    ("docs/curate.md", "[tool.foxing.allow]"): (
        "tests/test_pages.py::test_curate_drops_no_row_that_is_machine_written_on_purpose"
    ),
    ("docs/adapters.md", "dataset_path:"): JUICER,
    ("docs/adapters.md", "dj-process"): JUICER,
    ("docs/architecture.md", "DIR/scan.json"): (
        "tests/test_pages_architecture.py::test_a_folder_of_findings_holds_what_is_listed_and_nothing_else"
    ),
    ("docs/detector.md", "foxing explain"): "tests/test_pages_bench.py::test_scores_are_taken_apart_as_the_page_says",
    ("docs/detector.md", "python -m curricula.train_detector"): (
        "tests/test_pages_bench.py::test_a_detector_is_trained_and_measured_on_what_it_never_saw"
    ),
    ("docs/detector.md", "pip install"): (
        "tests/test_pages_bench.py::test_a_small_language_model_is_set_beside_the_fast_tier"
    ),
    ("docs/novelty.md", "[tool.foxing.signal.novelty]"): RUN_BY["docs/novelty.md"],
    ("docs/probing.md", 'signals = ["document", "knowledge"]'): RUN_BY["docs/probing.md"],
    ("docs/probing.md", "def generate("): "tests/test_pages.py::test_probing_asks_a_function_as_it_is_written",
    ("docs/report.md", "(s - F"): "tests/test_pages.py::test_what_a_filter_leaves_is_what_the_formula_says",
    ("docs/scale.md", "pip install"): "tests/audit/test_ray.py::test_commands_of_the_document_run_as_they_stand_there",
    ("docs/scale.md", "foxing scan corpus/ -o audit --part"): (
        "tests/audit/test_parts_docs.py::test_parts_as_the_document_has_them"
    ),
    ("docs/scale.md", "sh samples"): (
        "tests/audit/test_parts_docs.py::test_the_slurm_sample_submits_parts_and_then_the_whole"
    ),
    ("docs/training.md", "6 * weights"): (
        "tests/test_pages_training.py::test_the_formula_counts_as_torch_does_and_the_page_counts_by_it"
    ),
    ("docs/training.md", "foxing experiment"): (
        "tests/test_pages_training.py::test_experiments_hold_what_they_find_against_what_was_declared"
    ),
    ("docs/training.md", "foxing train"): MODELS,
    ("docs/training.md", "foxing generate"): MODELS,
    ("docs/training.md", "foxing trial"): (
        "tests/test_pages_training.py::test_arms_of_a_trial_are_compared_on_equal_tokens"
    ),
    ("docs/tutorial.md", 'eval "$('): (
        "tests/test_guides.py::test_a_shell_completes_commands_options_choices_names_and_files"
    ),
    ("docs/tutorial.md", "_FOXING_COMPLETE=fish"): (
        "tests/test_guides.py::test_fish_completes_commands_options_choices_names_and_files"
    ),
}
# What is in a block's place for its looks, and is nothing that one could run.
PICTURES: dict[tuple[str, str], str] = {
    ("README.md", "detectors/ "): "folders",
    ("docs/architecture.md", "detectors/ "): "folders",
    ("docs/architecture.md", "corpus ──scan──> findings"): "what goes where",
}
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("samples/**/*.md")]
)


def first_line(block: Block) -> str:
    return block.lines[0].strip()


def named(block: Block, table: Mapping[tuple[str, str], str]) -> str | None:
    """What a table has for a block."""
    rows = (
        value
        for (document, opening), value in table.items()
        if document == block.document and first_line(block).startswith(opening)
    )
    return next(rows, None)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_run_checked_or_no_code(document: str) -> None:
    for block in blocks(document):
        if named(block, PICTURES) is None:
            runs = block.commands or document in OF_ANY_KIND
            test = named(block, BLOCKS) or (RUN_BY.get(document) if runs else None)
            assert test is not None, f"{document}:{block.line}: {first_line(block)!r} is run by no test"
            assert is_test(test), f"{document}:{block.line}: there is no {test}"


def test_tables_name_what_is_there() -> None:
    there = [block for document in DOCUMENTS for block in blocks(document)]
    for row in (*BLOCKS, *PICTURES):
        assert any(named(block, {row: "this"}) for block in there), row
    assert set(RUN_BY) <= {block.document for block in there}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_modules_that_are_run_by_name_are_there(document: str) -> None:
    for name in re.findall(r"\bpython3? -m ([\w.]+)", (ROOT / document).read_text("utf-8")):
        assert importlib.util.find_spec(name), f"{document}: no module {name}"


def test_command_lines_in_back_quotes_that_need_no_corpus_run(
    foxing: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = {line: document for document in DOCUMENTS for _, line in quoted(document)}
    lines = [line for line in said if line.split()[1] in ("config", "doctor", "rule", "signals")]
    assert len(lines) > 5
    for line in lines:
        Page(said[line], foxing).type(line)
