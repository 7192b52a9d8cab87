"""What `make bench` is told by environment variables."""

import pytest

from benchmarks.options import OptionError, read_options
from benchmarks.table import Group


def test_without_variables_all_is_measured_at_the_tables_scale() -> None:
    options = read_options({})
    assert (options.groups, options.base, options.full, options.senders) == (tuple(Group), None, False, 64)
    scale = options.scale
    assert not scale.is_reduced
    assert (scale.orders, scale.limited_backlog, scale.other_apps, scale.waiting) == (3_000, 5_000, 3_000, 20_000)
    assert (scale.shown, scale.events, scale.retried, scale.listed) == (200, 2_500, 2_000, 100)
    assert (scale.steady_seconds, scale.interval_seconds) == (60, 40)
    assert (scale.unfinished, scale.few_finished, scale.many_finished) == (1_000, 1_000, 10_000)


def test_full_takes_the_scale_that_lasts_longer() -> None:
    assert read_options({"FULL": "1"}).scale.many_finished == 100_000
    assert read_options({"FULL": "0"}).scale.many_finished == 10_000


def test_fewer_orders_make_all_of_it_smaller_and_leave_something_of_each() -> None:
    scale = read_options({"ORDERS": "20"}).scale
    assert scale.is_reduced
    assert (scale.orders, scale.limited_backlog, scale.waiting, scale.shown) == (20, 33, 133, 1)


def test_rows_are_measured_in_the_tables_order_each_once() -> None:
    assert read_options({"ROWS": "settle, intake,settle"}).groups == (Group.INTAKE, Group.SETTLE)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"ROWS": "intake,nothing"}, "ROWS knows no nothing: it takes intake, flood, settle, .*"),
        ({"ORDERS": "0"}, "ORDERS is a number of at least 1, not 0"),
        ({"SENDERS": "many"}, "SENDERS is a number of at least 1, not many"),
    ],
)
def test_what_is_wrong_is_said_with_what_may_be(environ: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read_options(environ)
