"""The table of the bench: goals, verdicts, and every row in every form."""

import re

import pytest

from benchmarks.page import BEGIN, END, with_figures
from benchmarks.table import (
    Goal,
    Group,
    Row,
    at_least,
    at_most,
    json_rows,
    markdown_table,
    measured,
    rows_of,
    text_table,
    unmeasured,
)
from support.repository import ROOT

DOCUMENTED = re.compile(r"^\| `([a-z0-9-]+)` \| .* \| ([≤≥] [^|]*) \|$", re.MULTILINE)


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (at_most(0.28), 0.28, "met"),
        (at_most(0.28), 0.281, "not met"),
        (at_least(2.2), 2.2, "met"),
        (at_least(2.2), 2.1999, "not met"),
    ],
)
def test_a_goal_holds_at_its_bound_and_is_not_rounded(goal: Goal, value: float, verdict: str) -> None:
    assert measured(Row.INTAKE_CPU, value, goal=goal).verdict == verdict


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    (row,) = json_rows([unmeasured(Row.SHOW, "set BASE=<commit>")])
    assert (row["measured"], row["met"], row["note"]) == (None, None, "set BASE=<commit>")
    assert "not measured" in text_table([unmeasured(Row.SHOW, "")])


def test_every_row_is_of_one_group_and_stands_in_the_tables_order() -> None:
    assert [row for group in Group for row in rows_of(group)] == list(Row)


def test_the_tables_show_the_figure_its_goal_and_its_note() -> None:
    figure = measured(Row.ETCD_ORDINARY, 3442, "a note")
    for table in (text_table([figure]), markdown_table([figure])):
        for shown in (Row.ETCD_ORDINARY.title, "3,442 bytes", "≤ 2,200 bytes", "not met", "a note"):
            assert shown in table


def test_the_json_has_the_figure_unrounded_and_what_it_was_computed_from() -> None:
    (row,) = json_rows([measured(Row.STEADY_P99, 2.34567, parts={"longest, s": 3.2})])
    assert (row["row"], row["measured"], row["goal"]) == ("steady-p99", 2.34567, "≤ 3 s")
    assert row["parts"] == {"longest, s": 3.2}


def test_the_page_explains_every_row_with_its_goal() -> None:
    page = (ROOT / "docs/performance.md").read_text()
    assert dict(DOCUMENTED.findall(page)) == {row.key: str(row.goal) for row in Row}


def test_figures_take_the_place_of_those_before() -> None:
    page = f"before\n{BEGIN}old\n{END}after\n"
    once = with_figures(page, "new\n")
    assert once == f"before\n{BEGIN}\nnew\n\n{END}after\n"
    assert with_figures(once, "new\n") == once


def test_the_page_has_the_marks_that_figures_go_between() -> None:
    page = (ROOT / "docs/performance.md").read_text()
    assert page.index(BEGIN) < page.index(END)
