"""What the bench calls good, and how its table and its page show it."""

from collections.abc import Mapping
from typing import Any

import pytest

from faults.case import Case, Row
from faults.cases import CASES
from faults.mutations import MUTATIONS, ROOT
from faults.options import OptionError, read_options
from faults.page import marks, with_part
from faults.table import markdown_table, text_table
from faults.verdict import Verdict
from faults.world import World


async def nothing(_world: World) -> None:
    pass


def row(case: Mapping[str, Any] | None = None, verdict: Mapping[str, Any] | None = None, **facts: Any) -> Row:
    clean: dict[str, Any] = {"lost": (), "doubled": (), "wrong": {}, "second_mails": 0, "posted_again": 0}
    usual: dict[str, Any] = {"orders": 9, "settled": 1.5, "verdict": Verdict(**clean | dict(verdict or {}))}
    return Row(case=Case(name="some", what="some fault", play=nothing, **dict(case or {})), **usual | facts)


@pytest.mark.parametrize(
    ("played", "is_good"),
    [
        (row(), True),
        (row(verdict={"posted_again": 3}), True),
        (row(verdict={"lost": ("cs_1",)}), False),
        (row(verdict={"doubled": ("cs_1",)}), False),
        (row(verdict={"wrong": {"cs-1": "new"}}), False),
        (row(verdict={"second_mails": 1}), False),
        (row({"second_mails": 1}, {"second_mails": 1}), True),
        (row({"second_mails": None}, {"second_mails": 9}), True),
        (row(settled=None), False),
        (row(two_led=True), False),
        (row({"two_may_lead": True}, two_led=True), True),
        (row({"failover_within": 3.0}, failover=2.5), True),
        (row({"failover_within": 3.0}, failover=3.5), False),
        (row({"failover_within": 3.0}), False),
    ],
)
def test_what_is_not_as_promised_is_not_good(played: Row, is_good: bool) -> None:
    assert played.is_good is is_good


@pytest.mark.parametrize(("note", "is_good"), [("not played: no cgroup", True), ("failed: no etcd", False)])
def test_what_this_machine_does_not_allow_is_no_fault(note: str, is_good: bool) -> None:
    assert Row(case=row().case, note=note).is_good is is_good


def test_the_table_shows_each_row_and_the_command_that_shows_it() -> None:
    rows = [row(settled=None, note="new, and must be fulfilled"), Row(case=row().case, note="not played: no cgroup")]
    assert text_table(rows).splitlines()[1].split() == ["some", "9", "0", "0", "0", "0", "0", "not"]
    assert "`make faults CASES=some`" in markdown_table(rows)


def test_the_page_takes_the_newest_table_in_place_of_the_one_before() -> None:
    begin, end = marks("table")
    page = f"before\n{begin}old\n{end}after\n"
    assert with_part(page, "table", "new") == f"before\n{begin}\nnew\n{end}after\n"


def test_the_options_choose_cases_and_their_size() -> None:
    options = read_options({"ORDERS": "240", "CASES": "baseline, two-leaders"}, CASES)
    assert [case.name for case in options.cases] == ["baseline", "two-leaders"]
    assert (options.scale.orders, options.scale.seconds, options.together) == (240, 20.0, 1)
    assert read_options({}, CASES).scale.orders == 2000
    for wrong in ({"ORDERS": "0"}, {"CASES": "earthquake"}):
        with pytest.raises(OptionError):
            read_options(wrong, CASES)


def test_every_mutation_fits_the_code_and_names_a_case() -> None:
    """What has changed since is brought into line here, and not found out when the mutations are played."""
    for mutation in MUTATIONS:
        assert mutation.case in {case.name for case in CASES}
        for edit in mutation.edits:
            assert edit.old in (ROOT / edit.path).read_text(encoding="utf-8"), (mutation.name, edit.path)


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)
