from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import rules as rules_module
from audit.expressions import finite, parse
from audit.rules import DEFAULTS, Action, Rule, choose, decide, dropping, evaluate, find, rules_from, rules_hash
from detectors.errors import ConfigError

KIND = pl.Struct({"margin": pl.Float32, "p_human": pl.Float32})
RESIDUE = pl.Struct({"hits": pl.Int32, "phrase": pl.String})
DOCUMENT = pl.Struct({"words": pl.Int32, "share": pl.Float32})


def frame(p_human: list[float | None], hits: list[int | None] | None = None) -> pl.DataFrame:
    size = len(p_human)
    return pl.DataFrame(
        {
            "shard": ["a"] * size,
            "row": pl.Series(range(size), dtype=pl.Int64),
            "source": ["a"] * size,
            "unmeasured": pl.Series([0] * size, dtype=pl.UInt32),
            "errors": pl.Series([[]] * size, dtype=pl.List(pl.String)),
            "ai_text": pl.Series([None if p is None else {"margin": 1.0, "p_human": p} for p in p_human], dtype=KIND),
            "residue": pl.Series(
                [None if h is None else {"hits": h, "phrase": None} for h in hits or [0] * size], dtype=RESIDUE
            ),
        }
    )


def machine(action: Action = Action.REPORT) -> Rule:
    return Rule("AA101", "machine", "ai_text.p_human <= 0.01", action)


def leftover(action: Action = Action.REPORT) -> Rule:
    return Rule("AA102", "leftover", "residue.hits > 0", action)


values = st.none() | st.sampled_from([0.0, 0.005, 0.01, 0.5, 1.0])
counts = st.none() | st.integers(0, 2)


@given(st.lists(st.tuples(values, counts), min_size=1, max_size=20), st.booleans())
def test_rules_lists_every_hit_in_rule_order_and_a_report_shields_no_row_from_a_drop(
    rows: list[tuple[float | None, int | None]], turned: bool
) -> None:
    rules = [machine(Action.DROP), leftover(Action.REPORT)]
    rules = rules[::-1] if turned else rules
    found = decide(frame([p for p, _ in rows], [h for _, h in rows]), rules)
    for (p, hits), listed, action in zip(rows, found["rules"].to_list(), found["action"].to_list(), strict=True):
        wanted = {"AA101": p is not None and p <= 0.01, "AA102": hits is not None and hits > 0}
        assert listed == [rule.id for rule in rules if wanted[rule.id]]
        assert action == ("drop" if wanted["AA101"] else "report" if wanted["AA102"] else "keep")
    assert [by is not None for by in found["dropped_by"]] == [action == "drop" for action in found["action"]]


def test_a_row_is_dropped_by_the_first_rule_that_drops_it() -> None:
    rules = dropping([leftover(), machine(), Rule("AA103", "all", "row >= 0")], ["AA103", "AA101"])
    found = decide(frame([0.5, 0.001], [1, 1]), rules)
    assert found["rules"].to_list() == [["AA102", "AA103"], ["AA102", "AA101", "AA103"]]
    assert found["dropped_by"].to_list() == ["AA103", "AA101"]


def test_a_rule_named_for_dropping_drops_as_one_that_always_drops() -> None:
    rows = frame([0.001, 0.5, None, 0.001], [1, 1, None, 0])
    reported, dropped = [leftover(), machine()], [leftover(), machine(Action.DROP)]
    assert decide(rows, dropping(reported, ["AA101"])).equals(decide(rows, dropped))
    assert decide(rows, dropped)["action"].to_list() == ["drop", "report", "keep", "drop"]


def measures(words: list[int | None], share: list[float | None]) -> pl.DataFrame:
    rows = [{"words": w, "share": s} for w, s in zip(words, share, strict=True)]
    return frame([0.5] * len(rows)).with_columns(document=pl.Series(rows, dtype=DOCUMENT))


@pytest.mark.parametrize(
    ("when", "hit"),
    [
        ("document.share / document.words > 5", [None, False, None]),
        ("document.words % document.words > -1", [None, True, None]),
        ("1 / (document.words - 4) > -1", [True, None, None]),
        ("1 / -document.words > -1", [None, True, None]),
        ("1 / CASE WHEN document.words > 0 THEN 1 ELSE 0 END > 0", [None, True, None]),
        ("ln(document.words - 3) >= 0", [None, True, None]),
        ("LOG10(document.words) > -1", [None, True, None]),
        ("sqrt(document.words - 1) > 0", [None, True, None]),
        ("power(document.words - 4, 0.5) > -1", [None, True, None]),
        ("power(document.words, -1) > 0", [None, True, None]),
        ("power(document.words - 5, 2) > 0", [True, True, None]),
        ("abs(ln(document.words)) > 0", [None, True, None]),
        ("document.share > 5", [False, None, None]),
        ("NOT document.share > 5", [True, None, None]),
        ("document.share BETWEEN 0 AND 9", [True, None, None]),
    ],
)
def test_what_arithmetic_leaves_undefined_is_null(when: str, hit: list[bool | None]) -> None:
    rows = measures([0, 4, None], [0.0, math.nan, math.inf])
    if "share /" in when:
        rows = measures([0, 4, None], [0.0, 2.0, math.inf])
    assert evaluate(rows, [Rule("MY101", "", when)])["MY101"].to_list() == hit


def test_floats_in_nested_structs_are_finite_or_null() -> None:
    nested = pl.DataFrame({"a": [{"b": {"c": math.nan, "d": 1}}, {"b": None}, None], "e": [math.inf, 1.0, None]})
    found = finite(nested)
    assert found["a"].to_list() == [{"b": {"c": None, "d": 1}}, {"b": None}, None]
    assert found["e"].to_list() == [None, 1.0, None] and found.schema == nested.schema


@pytest.mark.parametrize(
    "when", ["ai_text.p_human IS NULL", "COALESCE(ai_text.p_human, 0) < 1", "residue.hits > 0 OR ai_text.p_human < 1"]
)
def test_a_rule_is_undefined_where_a_signal_that_it_reads_was_not_measured(when: str) -> None:
    assert evaluate(frame([None], [3]), [Rule("MY101", "", when)])["MY101"].to_list() == [None]


@pytest.mark.parametrize(
    "when",
    [
        "unmeasured > 0",
        "ARRAY_LENGTH(errors) > 0",
        "ai_text.abstained",
        "ai_text.p_human IS NULL AND row >= 0",
    ],
)
def test_a_rule_about_faults_may_not_drop(when: str) -> None:
    with pytest.raises(ConfigError, match=r'MY101: .*action = "report"'):
        rules_from({"MY101": {"when": when, "action": "drop"}})
    with pytest.raises(ConfigError, match="MY101"):
        dropping(rules_from({"MY101": {"when": when}}), ["MY101"])


@pytest.mark.parametrize("rule_id", ["FX901", "FX902", "FX903", "FX904"])
def test_rules_over_data_may_not_drop(rule_id: str) -> None:
    with pytest.raises(ConfigError, match=f"{rule_id}: .*never dropped"):
        rules_from({rule_id: {"action": "drop"}})
    with pytest.raises(ConfigError, match=f"{rule_id}: .*never dropped"):
        dropping(DEFAULTS, [rule_id])


@pytest.mark.parametrize(
    "when", ["COALESCE(ai_text.p_human, 0) < 1", "CASE WHEN residue.hits > 0 THEN FALSE ELSE TRUE END"]
)
def test_a_rule_that_is_true_of_nothing_may_not_drop(when: str) -> None:
    with pytest.raises(ConfigError, match=r"MY101: .*true of a row without any"):
        decide(frame([0.1]), [Rule("MY101", "", when, Action.DROP)])
    assert decide(frame([0.1]), [Rule("MY101", "", when)]).height == 1


def test_rules_are_compiled_once_for_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = rules_module.applicable

    def counted(rule: Rule, schema: pl.Schema) -> bool:
        seen.append(rule.id)
        return original(rule, schema)

    monkeypatch.setattr(rules_module, "applicable", counted)
    rules = [Rule("MY987", "only here", "row > 987"), leftover()]
    for _ in range(50):
        evaluate(frame([0.1]), rules)
    assert seen == [rule.id for rule in rules]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"worst": "residue.hit"}, "MY101: worst: no field 'hit' in 'residue'. Did you mean 'hits'"),
        ({"worst": "residu.hits"}, "MY101: worst: no column 'residu'.*Did you mean 'residue'"),
        ({"worst": "shard"}, "MY101: worst: 'shard' is String, not a number"),
        ({"shown": ("residue.phrse",)}, "MY101: shown: no field 'phrse' in 'residue'. Did you mean 'phrase'"),
    ],
)
def test_what_orders_and_describes_the_worst_rows_is_checked(fields: dict[str, object], says: str) -> None:
    rule = Rule("MY101", "", "row > 1", **fields)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=says):
        rules_module.applicable(rule, frame([0.1]).schema)


def test_null_never_matches_whatever_the_comparison() -> None:
    rules = [Rule("AA101", "", "ai_text.p_human <= 2"), Rule("AA102", "", "NOT ai_text.p_human <= 0.01")]
    found = decide(frame([None]), rules)
    assert found["rules"].to_list() == [[]] and found["action"].to_list() == ["keep"]


def test_no_rules_keeps_every_row_with_the_same_columns() -> None:
    found = decide(frame([0.1, None]), [])
    assert found["rules"].to_list() == [[], []] and found["rules"].dtype == pl.List(pl.String)
    assert found["action"].to_list() == ["keep", "keep"]


def test_deciding_keeps_rows_and_columns_as_they_are() -> None:
    before = frame([0.1, None, 0.001])
    after = decide(before, DEFAULTS[:2])
    assert after.select(before.columns).equals(before) and after.columns[-3:] == ["rules", "action", "dropped_by"]


def test_a_rule_whose_signal_was_not_scanned_is_left_out() -> None:
    scanned = frame([0.001]).drop("residue")
    assert evaluate(scanned, [machine(), leftover()]).columns == ["AA101"]
    assert decide(scanned, [leftover(Action.DROP)])["action"].to_list() == ["keep"]


def test_rules_over_shards_have_no_column() -> None:
    assert evaluate(frame([0.1]), [find(DEFAULTS, "FX903")]).height == 1
    assert not evaluate(frame([0.1]), [find(DEFAULTS, "FX903")]).width


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("(SELECT 1) = 1", "may not use SELECT"),
        ("row IN (SELECT row FROM self)", "may not use SELECT"),
        ("EXISTS (SELECT 1)", "EXISTS"),
        ("read_csv('/etc/passwd') = row", "read_csv"),
        ("row = 1; DROP TABLE self", "';"),
        ("row = 1 -- comment", "--"),
        ("row /* x */ = 1", r"/\*"),
        ("SUM(row) > 1", "SUM"),
        ("COUNT(*) > 1", "COUNT"),
        ("RANK() OVER (ORDER BY row) > 1", "RANK"),
        ("row = 1 AS x", "may not use AS"),
        ("row = ANY (errors)", "may not use ANY"),
        ("row =", "not an expression"),
        ("1 < 2", "reads no column"),
        ("errors[1] = 'a'", r"\["),
    ],
)
def test_only_expressions_over_one_row_are_accepted(when: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        decide(frame([0.1]), rules_from({"MY101": {"when": when}})[-1:])


@pytest.mark.parametrize(
    "when",
    [
        "ai_text.p_human BETWEEN 0 AND 0.01",
        "row IN (1, 2) OR source LIKE 'web%'",
        "COALESCE(ai_text.p_human, 1) < 0.5 AND NOT unmeasured > 0",
        "CASE WHEN row > 1 THEN TRUE ELSE FALSE END",
        '"ai_text"."p_human" IS NULL',
        "ARRAY_LENGTH(errors) > 0",
        "starts_with(shard, 'a''b')",
    ],
)
def test_useful_expressions_work(when: str) -> None:
    assert decide(frame([0.1, None]), rules_from({"MY101": {"when": when}})[-1:]).height == 2


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("ai_txt.p_human < 1", "no column 'ai_txt'.*Did you mean 'ai_text'"),
        ("ai_text.p_humn < 1", "no field 'p_humn' in 'ai_text'.*Did you mean 'p_human'"),
        ("ai_text.p_human.x < 1", "'ai_text.p_human' has no fields"),
        ("row", "is Int64, not true or false"),
    ],
)
def test_a_wrong_name_or_type_is_named_with_the_nearest(when: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        decide(frame([0.1]), [Rule("MY101", "mine", when)])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"my1": {"when": "row > 1"}}, "two capital letters and three digits"),
        ({"MY101": {}}, "needs `when`"),
        ({"FX101": {"bugdet": 0.1}}, "unknown key 'bugdet'. Did you mean 'budget'"),
        ({"FX101": {"budget": 2}}, "not a share"),
        ({"FX101": {"budget": True}}, "not a share"),
        ({"FX101": {"action": "drpo"}}, "no action 'drpo'. Did you mean 'drop'"),
        ({"FX101": {"when": " "}}, "`when` is empty"),
        ({"FX101": {"when": 3}}, "not a string"),
        ({"FX903": {"when": "row > 1"}}, "looks at shards"),
        ({"FX903": {"worst": "row"}}, "looks at shards"),
        ({"FX101": {"worst": "(SELECT 1)"}}, "FX101"),
        ({"FX101": {"shown": "row"}}, "not a list of columns"),
        ({"FX777": {"when": "row > 1"}}, "ids that begin with FX are those of foxing. Name it MY777"),
    ],
)
def test_a_wrong_rule_table_says_what_to_do(changes: dict[str, dict[str, object]], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        rules_from(changes)


def test_configuration_changes_single_fields_and_adds_rules() -> None:
    rules = rules_from({"FX101": {"action": "drop"}, "MY101": {"when": "row > 1", "budget": 0.5}})
    assert find(rules, "FX101") == Rule(**{**vars(DEFAULTS[0]), "action": Action.DROP})
    assert rules[-1] == Rule("MY101", "MY101", "row > 1", Action.REPORT, 0.5)
    assert [rule.id for rule in rules[:-1]] == [rule.id for rule in DEFAULTS]


def test_choosing_is_by_prefix() -> None:
    assert [rule.id for rule in choose(DEFAULTS, ["FX1"])] == ["FX101", "FX102"]
    assert [rule.id for rule in choose(DEFAULTS, ["FX1", "FX2"], ["FX102"])][:3] == ["FX101", "FX201", "FX202"]
    assert choose(DEFAULTS) == DEFAULTS
    with pytest.raises(ConfigError, match="no rule begins with 'FX7'"):
        choose(DEFAULTS, ["FX7"])


def test_an_unknown_id_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'FX101'"):
        find(DEFAULTS, "FX11")


def test_the_hash_covers_what_decides_and_nothing_else() -> None:
    assert rules_hash(DEFAULTS) == rules_hash(rules_from({"FX101": {"budget": 0.5, "name": "x", "worst": "row"}}))
    assert rules_hash(DEFAULTS) != rules_hash(rules_from({"FX101": {"when": "ai_text.p_human <= 0.001"}}))
    assert rules_hash(DEFAULTS) != rules_hash(rules_from({"FX101": {"action": "drop"}}))
    assert rules_hash(DEFAULTS) != rules_hash(DEFAULTS[::-1])


def test_every_default_explains_itself_and_parses() -> None:
    for rule in DEFAULTS:
        assert {"What", "Why", "What to do"} <= {line.partition(":")[0] for line in rule.explanation.splitlines()}
        for sql in filter(None, (rule.when, rule.worst)):
            parse(sql, rule.id)
        assert 0 <= rule.budget <= 1 and rule.action is Action.REPORT
        assert "diversity.ttr" not in rule.when


def test_default_rules_fit_the_fields_of_the_signals() -> None:
    from audit.rules import applicable
    from detectors.diversity import Diversity
    from detectors.residue import Residue

    empty = {s.name: pl.DataFrame(s.schema.empty_table()).schema for s in (Diversity, Residue)}
    schema = pl.Schema({name: pl.Struct(dict(fields)) for name, fields in empty.items()})
    assert all(applicable(find(DEFAULTS, rule_id), schema) for rule_id in ("FX102", "FX201", "FX202"))
