"""Benchmark files in the layouts that people have, each item as question, options and answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from audit.benchmark_layout import ItemText
from audit.benchmarks import Item, index_items, read_items
from detectors.errors import InputError

ONE = "What is kept in the old press?"


def parquet(path: Path, **columns: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_parquet(path)
    return path


def jsonl(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> Item:
    (item,) = read_items([str(path)])
    return item


def options(*texts: str) -> str:
    return "\n".join([*(f"{letter}. {text}" for letter, text in zip("ABCDE", texts, strict=False)), "Answer:"])


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        pytest.param({"question": ONE, "answer": "Paper."}, ItemText(ONE, "", "Paper."), id="question and answer"),
        pytest.param({"question": ONE, "answer": 72}, ItemText(ONE, "", "72"), id="a number is an answer"),
        pytest.param({"Question": ONE, "Answer": "Paper."}, ItemText(ONE, "", "Paper."), id="any case"),
        pytest.param(
            {"problem": ONE, "solution": "Look.", "answer": "Paper"}, ItemText(ONE, "Look.", "Paper"), id="math"
        ),
        pytest.param({"problem": ONE, "solution": "Look."}, ItemText(ONE, "", "Look."), id="solution alone"),
        pytest.param(
            {"question": ONE, "passage": "A long page.", "answer": True}, ItemText(ONE, "", "yes"), id="boolq"
        ),
        pytest.param(
            {"context": "A long page.", "question": ONE, "answers": {"text": ["Paper", "Ink"], "answer_start": [1, 9]}},
            ItemText(ONE, "", "Paper"),
            id="squad",
        ),
        pytest.param(
            {"task_id": "HumanEval/0", "prompt": "def f():", "canonical_solution": "    return 1", "test": "assert"},
            ItemText("def f():", "", "return 1"),
            id="humaneval",
        ),
        pytest.param({"text": ONE, "code": "def f(): ...", "task_id": 3}, ItemText(ONE, "", "def f(): ..."), id="mbpp"),
        pytest.param(
            {"question": ONE, "choices": ["ink", "paper", "glue"], "answer": 1},
            ItemText(ONE, options("ink", "paper", "glue"), "paper"),
            id="mmlu",
        ),
        pytest.param(
            {"question": ONE, "options": ["ink", "paper"], "answer": "B", "answer_index": 1},
            ItemText(ONE, options("ink", "paper"), "paper"),
            id="letter",
        ),
        pytest.param(
            {"question": ONE, "choices": ["ink", "paper"], "answer": "paper"},
            ItemText(ONE, options("ink", "paper"), "paper"),
            id="text of an option",
        ),
        pytest.param(
            {"question": ONE, "choices": ["2", "1"], "answer": 1},
            ItemText(ONE, options("2", "1"), "1"),
            id="a number is a place even where options are numbers",
        ),
        pytest.param(
            {"question": ONE, "choices": {"text": ["ink", "paper"], "label": ["1", "2"]}, "answerKey": "2"},
            ItemText(ONE, options("ink", "paper"), "paper"),
            id="arc",
        ),
        pytest.param(
            {"question_stem": ONE, "choices": {"text": ["ink", "paper"], "label": ["A", "B"]}, "answerKey": "A"},
            ItemText(ONE, options("ink", "paper"), "ink"),
            id="openbookqa",
        ),
        pytest.param(
            {
                "question": {"stem": ONE, "choices": [{"text": "ink", "label": "A"}, {"text": "paper", "label": "B"}]},
                "answerKey": "B",
            },
            ItemText(ONE, options("ink", "paper"), "paper"),
            id="arc as published",
        ),
        pytest.param(
            {"ind": 4, "ctx": ONE, "ctx_a": "What", "endings": ["ink", "paper"], "label": "1"},
            ItemText(ONE, options("ink", "paper"), "paper"),
            id="hellaswag",
        ),
        pytest.param(
            {"sentence": "The _ was wet.", "option1": "ink", "option2": "glue", "answer": "2"},
            ItemText("The _ was wet.", options("ink", "glue"), "glue"),
            id="winogrande",
        ),
        pytest.param(
            {"goal": ONE, "sol1": "ink", "sol2": "paper", "label": 0},
            ItemText(ONE, options("ink", "paper"), "ink"),
            id="piqa",
        ),
        pytest.param(
            {"context": "Ann left.", "question": "Why?", "answerA": "rain", "answerB": "fire", "label": "2"},
            ItemText("Ann left.\nWhy?", options("rain", "fire"), "fire"),
            id="social_i_qa",
        ),
        pytest.param(
            {"premise": "It rained.", "question": "effect", "choice1": "wet", "choice2": "dry", "label": 0},
            ItemText("It rained.", options("wet", "dry"), "wet"),
            id="copa",
        ),
        pytest.param(
            {"question": ONE, "opa": "ink", "opb": "paper", "opc": "glue", "opd": "wax", "cop": 3},
            ItemText(ONE, options("ink", "paper", "glue", "wax"), "wax"),
            id="medmcqa",
        ),
        pytest.param(
            {"question": ONE, "correct_answer": "paper", "distractor1": "ink", "distractor2": "wax", "support": "So."},
            ItemText(ONE, options("paper", "ink", "wax"), "paper"),
            id="sciq",
        ),
        pytest.param(
            {"question": ONE, "mc1_targets": {"choices": ["ink", "paper"], "labels": [0, 1]}},
            ItemText(ONE, options("ink", "paper"), "paper"),
            id="truthfulqa",
        ),
        pytest.param(
            {"premise": "It rained.", "hypothesis": "It was wet.", "label": 0},
            ItemText("It rained.\nIt was wet.", "", ""),
            id="a class is no answer",
        ),
        pytest.param(
            {"question": ONE, "choices": ["ink", "paper"], "answer": ""},
            ItemText(ONE, options("ink", "paper"), ""),
            id="hidden answer",
        ),
        pytest.param(
            {"ctx": ONE, "endings": ["ink", "paper"], "label": -1},
            ItemText(ONE, options("ink", "paper"), ""),
            id="hidden number",
        ),
        pytest.param(
            {"question": ONE, "choices": ["ink", "paper"], "answer": "E"},
            ItemText(ONE, options("ink", "paper"), "", is_unresolved=True),
            id="an option that there is not",
        ),
        pytest.param({"text": "All in one."}, ItemText("", "All in one.", ""), id="text"),
        pytest.param(
            {"text": f"{ONE}\nA. ink\nB. paper\nAnswer: B. paper"},
            ItemText(f"{ONE}\nA. ink\nB. paper\n", "Answer: B. ", "paper"),
            id="text with its answer",
        ),
        pytest.param(
            {"text": f"{ONE}\nA. ink\nAnswer: A"},
            ItemText(f"{ONE}\nA. ink\n", "Answer: A", ""),
            id="text with a letter",
        ),
        pytest.param({"key": 9, "prompt": ONE, "kwargs": [1]}, ItemText(ONE, "", ""), id="ifeval"),
    ],
)
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_layout_is_known_by_its_columns(tmp_path: Path, form: str, columns: dict[str, Any], text: ItemText) -> None:
    path = tmp_path / f"quiz.{form}"
    if form == "jsonl":
        jsonl(path, columns)
    else:
        parquet(path, **{name: [value] for name, value in columns.items()})
    assert read(path).text == text


def test_options_in_a_csv_file_are_lists_in_json_or_as_python_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "quiz.csv"
    path.write_text('question,choices,answer\nq,"[""ink"", ""wax""]",1\nr,"[\'ink\', \'wax\']",0\n')
    assert [item.text.answer for item in read_items([str(path)])] == ["wax", "ink"]
    path.write_text("question,choices,answer\nq,ink or wax,1\n")
    with pytest.raises(InputError, match=r"row 0: column 'choices' holds 'ink or wax', not a list of options"):
        read_items([str(path)])


def test_rows_whose_shapes_disagree_are_read_one_by_one(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "quiz.jsonl",
        {"question": "q", "choices": ["ink", "wax"], "answer": 1},
        {"question": "r", "choices": {"text": ["a", "b"], "label": ["x", "y"]}, "answer": "y"},
    )
    assert [item.text.answer for item in read_items([str(path)])] == ["wax", "b"]


def test_names_come_from_columns_then_from_the_option_then_from_the_file(tmp_path: Path) -> None:
    rows = {"question": ["a", "b"], "answer": ["x", "y"]}
    path = parquet(tmp_path / "quiz.parquet", **rows)
    assert [(item.benchmark, item.id) for item in read_items([str(path)])] == [("quiz", "0"), ("quiz", "1")]
    assert {item.benchmark for item in read_items([str(path)], name="given")} == {"given"}
    named = parquet(tmp_path / "named.parquet", **rows, task=["one", None], idx=[7, 8])
    assert [(item.benchmark, item.id) for item in read_items([str(named)], name="given")] == [
        ("one", "7"),
        ("given", "8"),
    ]
    # Numbers of rows of several files would meet each other.
    both = read_items([str(tmp_path)])
    assert {(item.benchmark, item.id) for item in both} == {
        ("one", "7"),
        ("named", "8"),
        ("quiz", "quiz:0"),
        ("quiz", "quiz:1"),
    }


def test_a_file_that_only_says_its_split_is_named_by_its_folder(tmp_path: Path) -> None:
    parquet(tmp_path / "hub" / "ARC-Easy" / "test-00000-of-00001.parquet", question=["a"], answer=["x"])
    parquet(tmp_path / "hub" / "sciq" / "data" / "train-00000-of-00001.parquet", question=["b"], answer=["y"])
    (tmp_path / "hub" / "README.md").write_text("About them.")
    items = read_items([str(tmp_path / "hub")])
    assert {item.benchmark: item.text.question for item in items} == {"ARC-Easy": "a", "sciq": "b"}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image": [1], "caption_id": [2]}, r"no column holds a benchmark's items \(has: image, caption_id\)"),
        ({"question": [{"a": 1, "b": 2}], "answer": ["x"]}, "row 0: column 'question' holds a, b, not text"),
        ({"question": ["q"], "choices": [3], "answer": ["x"]}, "row 0: column 'choices' holds int, not a list"),
        ({"question": [None], "answer": [""]}, "no item in it has any text"),
    ],
)
def test_what_is_no_benchmark_is_refused_by_column(tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_items([str(parquet(tmp_path / "quiz.parquet", **columns))])


def test_an_item_counts_the_words_of_its_question_and_of_its_answer(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "quiz.parquet",
        question=[ONE, "Why?", "And this?"],
        choices=[["ink", "old paper"], None, ["a", "b"]],
        answer=["B", None, "E"],
    )
    index = index_items(read_items([str(path)]), n={"quiz": 8})
    assert index.question_words.tolist() == [7, 1, 2]
    assert index.answer_words.tolist() == [2, 0, 0]
    assert (index.offsets[1:] - index.offsets[:-1]).tolist() == [7 + 2 + 3 + 1 + 2, 1, 2 + 4 + 1]
    assert dict(index.n) == {"quiz": 8}


def test_the_order_of_files_changes_nothing(tmp_path: Path) -> None:
    one = parquet(tmp_path / "one.parquet", question=["a b c", "d e f"], answer=["x", "y"])
    two = parquet(tmp_path / "two.parquet", question=["g h i"], answer=["z"])
    forwards, backwards = read_items([str(one), str(two)]), read_items([str(two), str(one)])
    assert index_items(forwards).to_bytes() == index_items(backwards[::-1]).to_bytes()
