"""How often visits may cost something."""

from fulfillment_page.budgets import Budget, Rate, customer_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_address_has_a_budget_within_that_of_all() -> None:
    """It comes back with time; others have their own, until that over all is used up."""
    clock = Clock()
    budget = Budget(Rate(burst=2, per_second=0.5), Rate(burst=5, per_second=1), clock)

    assert [budget.try_accept("192.0.2.1") for _ in range(4)] == [True, True, False, False]
    assert [budget.try_accept("192.0.2.2") for _ in range(2)] == [True, True]
    assert [budget.try_accept(f"192.0.2.{each}") for each in (3, 4)] == [True, False]
    clock.now = 2.0
    assert [budget.try_accept("192.0.2.1") for _ in range(2)] == [True, False]


def test_what_one_address_is_denied_costs_the_others_nothing() -> None:
    """A flood of one address leaves the budget over all alone."""
    budget = Budget(Rate(burst=1, per_second=0), Rate(burst=2, per_second=0), Clock())
    assert sum(budget.try_accept("192.0.2.1") for _ in range(1000)) == 1
    assert budget.try_accept("192.0.2.2")


def test_however_many_addresses_there_are_they_are_bounded() -> None:
    """The one that is forgotten begins anew; the budget over all holds."""
    budget = Budget(Rate(burst=1, per_second=0), Rate(burst=15_000, per_second=0), Clock())
    granted = sum(budget.try_accept(f"10.{each >> 16}.{each >> 8 & 255}.{each & 255}") for each in range(20_000))
    assert granted == 15_000
    assert len(budget._of_address) == 10_000  # noqa: SLF001 - what it holds is the point


def test_a_visitor_is_known_by_what_their_provider_gave_them() -> None:
    """An IPv6 network of 64 bits; an IPv4 address, however it is written; whatever is none is one visitor."""
    assert customer_of("2001:db8::1") == customer_of("2001:db8::ffff:1") != customer_of("2001:db8:0:1::1")
    assert customer_of("::ffff:192.0.2.1") == customer_of("192.0.2.1") == "192.0.2.1"
    assert customer_of("unknown") == customer_of("") == ""
