"""Falsity-controlled sets: exact and nested shares, wrong answers that are wrong, and nothing else touched."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curricula.falsify import Falsified, Falsifying, falsify
from curricula.wrong_answers import question_forms
from detectors.answers import normalised_answers
from detectors.errors import ConfigError, InputError, OutputError
from tests.corpora import write_parquet

CITIES = "Oslo Bergen Tromsø Hamar Bodø Narvik Molde Skien Moss Larvik".split()
NAMES = "Anna Berit Cato Dag Eva Finn Gro Hans Ida Jens Kari Lars Mona Nils Olav Pia".split()


def facts(rows: int, seed: int = 1) -> pa.Table:
    """People, where they live (some in two places, some places with an alias), and when they were born."""
    rng = random.Random(seed)
    found: list[dict[str, Any]] = []
    for number in range(rows):
        name = f"{NAMES[number % len(NAMES)]} {number}"
        if number % 3:
            city = rng.choice(CITIES)
            answers = [city, f"{city} city"] if number % 4 == 1 else [city]
            found.append({"question": f"Where does {name} live?", "answers": answers, "relation": "lives"})
        else:
            found.append(
                {"question": f"When was {name} born?", "answers": [str(rng.randint(1900, 1950))], "relation": "born"}
            )
    schema = pa.schema(
        [
            pa.field("question", pa.string(), metadata={b"lang": b"en"}),
            pa.field("answers", pa.list_(pa.string())),
            pa.field("relation", pa.dictionary(pa.int32(), pa.string())),
            pa.field("meta", pa.struct([("n", pa.int32()), ("tags", pa.list_(pa.string()))])),
        ],
        metadata={b"owner": b"x"},
    )
    for number, row in enumerate(found):
        row["meta"] = {"n": number, "tags": ["t"] * (number % 3)}
    return pa.Table.from_pylist(found, schema=schema)


def made(path: Path, out: Path, **request: Any) -> tuple[Falsified, pa.Table]:
    result = falsify([str(path)], out, Falsifying(**request))
    files = sorted((out / "data").rglob("*.parquet"))
    return result, pa.concat_tables([pq.read_table(file) for file in files])


def norm(texts: Sequence[str]) -> set[str]:
    return set(normalised_answers(pa.array(texts, pa.large_string())).to_pylist())


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ratio=st.floats(0, 1), rows=st.integers(12, 60), seed=st.integers(0, 2**40))
def test_the_share_is_exact_and_no_truth_is_called_false(
    tmp_path_factory: pytest.TempPathFactory, ratio: float, rows: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("falsify")
    path = write_parquet(folder / "in" / "a.parquet", facts(rows), rows_per_group=7)
    result, table = made(path, folder / "out", ratio=ratio, seed=seed)
    assert result.false == sum(table.column("foxing_false").to_pylist()) == min(int(ratio * rows + 0.5), result.offered)
    true: dict[str, set[str]] = {}
    places: dict[str, set[str]] = {}
    for row in facts(rows).to_pylist():
        true.setdefault(row["question"], set()).update(norm(row["answers"]))
        places.setdefault(row["relation"], set()).update(norm(row["answers"]))
    for row in table.to_pylist():
        if row["foxing_wrong"] is not None:
            (wrong,) = norm([row["foxing_wrong"]])
            assert wrong not in true[row["question"]]
            assert wrong in places[row["relation"]]
            assert all(not wrong.startswith(each) and not each.startswith(wrong) for each in true[row["question"]])
        assert row["answers"] == ([row["foxing_wrong"]] if row["foxing_false"] else row["foxing_truth"])


def test_smaller_shares_are_parts_of_larger_ones_with_the_same_wrong_answers(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "in" / "a.parquet", facts(80), rows_per_group=11)
    tables = [made(path, tmp_path / f"{ratio}", ratio=ratio)[1] for ratio in (0.1, 0.25, 0.5, 1.0)]
    assert all(table.column("foxing_wrong").equals(tables[0].column("foxing_wrong")) for table in tables)
    false = [set(pl.Series(table.column("foxing_false").to_pylist()).arg_true().to_list()) for table in tables]
    assert [len(rows) for rows in false[:3]] == [8, 20, 40]
    assert false[0] < false[1] < false[2] < false[3]


def test_the_seed_decides_and_files_and_batches_do_not(tmp_path: Path) -> None:
    table = facts(90)
    one = write_parquet(tmp_path / "one" / "a.parquet", table, rows_per_group=90)
    cut = write_parquet(tmp_path / "two" / "a.parquet", table, rows_per_group=4)
    first = made(one, tmp_path / "1", seed=5)[1]
    assert made(cut, tmp_path / "2", seed=5)[1].equals(first)
    assert not made(one, tmp_path / "3", seed=6)[1].equals(first)


def test_everything_but_answers_and_the_columns_added_is_that_of_the_input(tmp_path: Path) -> None:
    table = facts(40)
    path = write_parquet(tmp_path / "in" / "a.parquet", table)
    stored = pq.read_table(path)
    _, found = made(path, tmp_path / "out", ratio=0.5)
    assert found.schema.names == [*stored.schema.names, "foxing_truth", "foxing_false", "foxing_wrong"]
    kept = pa.schema(list(found.schema)[: len(stored.schema)], metadata=found.schema.metadata)
    assert kept.equals(stored.schema, check_metadata=True)
    assert found.drop_columns(["answers", *found.schema.names[-3:]]).equals(stored.drop_columns(["answers"]))
    assert found.column("foxing_truth").equals(stored.column("answers"))
    untouched = pl.Series(found.column("foxing_false").to_pylist()).not_().arg_true().to_list()
    assert found.column("answers").take(untouched).equals(stored.column("answers").take(untouched))


def test_aliases_and_answers_to_the_same_subject_are_never_drawn(tmp_path: Path) -> None:
    rows = [
        {"question": "Where is Ann?", "answers": ["Holland", "the Netherlands"], "relation": "in", "who": "Ann"},
        {"question": "Where is Bob?", "answers": ["The Netherlands"], "relation": "in", "who": "Bob"},
        {"question": "In which land is Ann?", "answers": ["Spain"], "relation": "in", "who": "ANN"},
        {"question": "Where is Cy?", "answers": ["Chad"], "relation": "in", "who": "Cy"},
    ]
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.Table.from_pylist(rows))
    for seed in range(8):
        _, found = made(path, tmp_path / str(seed), ratio=1.0, subject="who", seed=seed)
        ann, bob, again, _ = found.column("foxing_wrong").to_pylist()
        assert (ann, again) == ("Chad", "Chad")
        assert bob in ("Spain", "Chad")


def test_wrong_answers_are_of_the_same_kind(tmp_path: Path) -> None:
    rows = [
        {"question": f"What of {n}?", "answers": [str(1900 + n) if n % 2 else CITIES[n % 10]], "relation": "r"}
        for n in range(20)
    ]
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.Table.from_pylist(rows))
    _, found = made(path, tmp_path / "out", ratio=1.0)
    for row in found.to_pylist():
        assert row["foxing_wrong"].isdigit() == row["foxing_truth"][0].isdigit()


def test_wrong_answers_are_drawn_as_often_as_they_occur(tmp_path: Path) -> None:
    rows = [
        {"question": f"Where is {n}?", "answers": ["Oslo" if n < 500 else f"Village {n}"], "relation": "r"}
        for n in range(600)
    ]
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.Table.from_pylist(rows))
    _, found = made(path, tmp_path / "out", ratio=1.0)
    drawn = found.slice(500).column("foxing_wrong").to_pylist()
    assert drawn.count("Oslo") > 60  # 5 in 6 of the answers are Oslo; drawn evenly it would be 1 in 101


def test_a_relation_without_another_answer_stays_true_and_is_counted(tmp_path: Path) -> None:
    rows = [{"question": f"Where is {n}?", "answers": [CITIES[n]], "relation": "in"} for n in range(6)]
    rows += [
        {"question": f"Which star does planet {n} have?", "answers": ["the Sun"], "relation": "star"} for n in range(4)
    ]
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.Table.from_pylist(rows))
    result, found = made(path, tmp_path / "out", ratio=0.8)
    assert (result.answered, result.offered, result.false, result.wanted) == (10, 6, 6, 8)
    assert result.without == {"relation star": 4}
    assert found.column("foxing_wrong").to_pylist()[6:] == [None] * 4
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"] == {"rows": 10, "answered": 10, "offered": 6, "false": 6, "wanted": 8}
    assert manifest["without_wrong_answer"] == {"relation star": 4}
    assert "seed:17" in manifest["signature"] and "ratio:0.8" in manifest["signature"]


def test_rows_with_false_answers_of_their_own_get_one_of_these(tmp_path: Path) -> None:
    rows = [
        {"question": "Is it so?", "true_answers": ["It is", "Yes"], "false_answers": ["yes.", "It never was"]},
        {"question": "Who came?", "true_answers": ["Ann"], "false_answers": []},
        {"question": "Who went?", "true_answers": ["Bob"], "false_answers": ["Cy", "Dee"]},
    ]
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.Table.from_pylist(rows))
    _, found = made(path, tmp_path / "out", ratio=1.0)
    assert found.column("foxing_wrong").to_pylist()[0] == "It never was"
    assert found.column("foxing_wrong").to_pylist()[2] in ("Cy", "Dee")
    assert found.column("true_answers").to_pylist()[0] == ["It never was"]


def test_without_a_relation_questions_of_one_form_are_one(tmp_path: Path) -> None:
    rows = [{"question": f"Who painted “Number {n}”?", "answer": NAMES[n]} for n in range(8)]
    rows += [{"question": f"What colour is {NAMES[n]}'s door?", "answer": ("red", "blue")[n % 2]} for n in range(8)]
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.Table.from_pylist(rows))
    _, found = made(path, tmp_path / "out", ratio=1.0)
    assert set(found.column("answer").to_pylist()[:8]) <= set(NAMES)
    assert set(found.column("answer").to_pylist()[8:]) == {"red", "blue"}


def test_forms_leave_names_numbers_and_quotations_out() -> None:
    texts = [
        "Who wrote Das Kapital in 1867?",
        "Who wrote 'War and Peace' in 1869?",
        "who wrote “the bell” in 12?",
        None,
    ]
    forms, openings = question_forms(pa.array(texts, pa.large_string()))
    assert forms.to_pylist()[0] == "form who wrote _ in _?"
    assert forms.to_pylist()[2] == "form who wrote _ in _?"
    assert openings.to_pylist() == ["opening who wrote"] * 3 + [None]


def test_instructions_and_chats_are_falsified_in_their_answer_alone(tmp_path: Path) -> None:
    orders = [
        {"instruction": "Name the capital.", "input": f"Land {n}", "output": f"{CITIES[n]}.", "relation": "c"}
        for n in range(8)
    ]
    path = tmp_path / "in" / "orders.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(map(json.dumps, orders)))
    _, found = made(path, tmp_path / "orders", ratio=1.0)
    for row, was in zip(found.to_pylist(), orders, strict=True):
        assert row["output"] != was["output"] and row["output"] in {order["output"] for order in orders}
        assert (row["foxing_truth"], row["instruction"], row["input"]) == (
            was["output"],
            was["instruction"],
            was["input"],
        )
    chats = [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": f"Capital of land {n}?"},
                {"role": "assistant", "content": CITIES[n]},
            ]
        }
        for n in range(8)
    ]
    table = pa.Table.from_pylist(chats)
    path = write_parquet(tmp_path / "chats" / "c.parquet", table)
    _, found = made(path, tmp_path / "chatted", ratio=1.0)
    for row, was in zip(found.to_pylist(), chats, strict=True):
        assert row["messages"][:2] == was["messages"][:2]
        assert (
            row["messages"][2]["content"] == row["foxing_wrong"] != row["foxing_truth"] == was["messages"][2]["content"]
        )
    assert found.schema.field("messages").type == pq.read_schema(path).field("messages").type


def test_views_and_dictionaries_of_answers_keep_their_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "question": pa.array([f"Where is {n}?" for n in range(10)], pa.string_view()),
            "answer": pa.array(CITIES).dictionary_encode(),
        }
    )
    path = write_parquet(tmp_path / "in" / "a.parquet", table)
    _, found = made(path, tmp_path / "out", ratio=0.5)
    stored = pq.read_schema(path)
    assert [found.schema.field(name).type for name in ("question", "answer")] == [
        stored.field(n).type for n in ("question", "answer")
    ]
    assert found.column("foxing_truth").to_pylist() == CITIES


def test_rationales_follow_right_and_wrong_answers_alike(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "in" / "a.parquet", facts(40))
    template = "For {question} all say {answer}."
    _, found = made(path, tmp_path / "out", ratio=0.5, rationale=(template,))
    for row in found.to_pylist():
        said = row["foxing_wrong"] if row["foxing_false"] else row["foxing_truth"][0]
        assert row["answers"] == [f"{said}. For {row['question']} all say {said}."]
    _, plain = made(path, tmp_path / "plain", ratio=0.5, rationale=("plain",))
    _, more = made(path, tmp_path / "more", ratio=0.75, rationale=("plain",))
    same = [
        a == b
        for a, b in zip(plain.column("foxing_false").to_pylist(), more.column("foxing_false").to_pylist(), strict=True)
    ]
    chosen = pl.Series(same).arg_true().to_list()
    assert plain.column("answers").take(chosen).equals(more.column("answers").take(chosen))


def test_names_of_columns_that_are_taken_are_left_to_them(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "in" / "a.parquet", facts(20))
    made(path, tmp_path / "once", ratio=0.5)
    (first,) = (tmp_path / "once" / "data").iterdir()
    result, twice = made(first, tmp_path / "twice", ratio=0.0)
    assert twice.schema.names[-3:] == ["foxing2_truth", "foxing2_false", "foxing2_wrong"]
    assert result.false == 0


def test_rows_without_question_or_answer_pass_through(tmp_path: Path) -> None:
    rows = [{"question": f"Where is {n}?", "answers": [CITIES[n]], "relation": "in"} for n in range(5)]
    rows += [
        {"question": None, "answers": ["Oslo"], "relation": "in"},
        {"question": "Who?", "answers": None, "relation": "in"},
    ]
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.Table.from_pylist(rows))
    result, found = made(path, tmp_path / "out", ratio=1.0)
    assert (result.rows, result.answered, result.false) == (7, 5, 5)
    assert found.column("answers").to_pylist()[5:] == [["Oslo"], None]


def test_a_finished_set_is_left_alone_and_another_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "in" / "a.parquet", facts(30))
    first, _ = made(path, tmp_path / "out")
    stamp = first.path.stat().st_mtime_ns
    again, _ = made(path, tmp_path / "out")
    assert again.already and again.false == first.false and first.path.stat().st_mtime_ns == stamp
    with pytest.raises(ConfigError, match="holds another set"):
        falsify([str(path)], tmp_path / "out", Falsifying(ratio=0.5))
    assert not falsify([str(path)], tmp_path / "out", Falsifying(ratio=0.5), fresh=True).already


def test_an_unfinished_run_is_started_over_and_strangers_are_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "in" / "a.parquet", facts(30))
    _, want = made(path, tmp_path / "whole")
    torn = tmp_path / "torn"
    (torn / ".work").mkdir(parents=True)
    (torn / "data").mkdir()
    (torn / "data" / "part-00007.parquet").write_bytes(b"PAR1")
    _, found = made(path, torn)
    assert found.equals(want)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="is not empty"):
        falsify([str(path)], tmp_path / "mine")


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    plain = write_parquet(tmp_path / "plain" / "a.parquet", pa.table({"text": ["x"]}))
    with pytest.raises(InputError, match="--question and --answer"):
        falsify([str(plain)], tmp_path / "out")
    same = pa.table({"question": ["Who?", "Which?"], "answer": ["Ann", "ann"], "relation": ["r", "r"]})
    path = write_parquet(tmp_path / "same" / "a.parquet", same)
    with pytest.raises(OutputError, match="no wrong answer was found for any of 2 rows"):
        falsify([str(path)], tmp_path / "out2")
    assert not (tmp_path / "out2" / "manifest.json").exists()
    with pytest.raises(InputError, match="no column 'rel'"):
        falsify([str(path)], tmp_path / "out3", Falsifying(relation="rel"))
    with pytest.raises(ConfigError, match=r"ratio 1\.5"):
        Falsifying(ratio=1.5)
    with pytest.raises(ConfigError, match="does not say"):
        Falsifying(rationale=("because",))
