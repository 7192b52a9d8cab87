"""Stripe's limits, as the stand-in has them."""

from fulfillment_local.fake_stripe.rate_limits import RateLimiter, RateLimits, Reason

ONE, OTHER = "/v1/checkout/sessions/{id}", "/v1/checkout/sessions"


def answered(limiter: RateLimiter, endpoint: str, now: float, *, livemode: bool = True) -> tuple[int, Reason | None]:
    """Ask until it is refused; return how often it was not, and why it is."""
    for count in range(1000):
        if (reason := limiter.refuse(endpoint, now, livemode=livemode)) is not None:
            return count, reason
    return 1000, None


def test_an_endpoint_and_an_account_have_their_limits() -> None:
    """25 a second of each endpoint, in live mode as well; 100 of an account, and 25 in a sandbox."""
    limiter = RateLimiter(RateLimits())
    assert [answered(limiter, endpoint, 0.0) for endpoint in ("a", "b", "c", "d", "e")] == [
        *[(25, Reason.ENDPOINT)] * 3,
        (25, Reason.GLOBAL),
        (0, Reason.GLOBAL),
    ]
    assert [answered(limiter, endpoint, 0.0, livemode=False) for endpoint in (ONE, OTHER)] == [
        (25, Reason.GLOBAL),
        (0, Reason.GLOBAL),
    ]


def test_each_request_counts_for_a_second() -> None:
    """What was refused counts for nothing."""
    limiter = RateLimiter(RateLimits(live=10, endpoint=3))
    assert answered(limiter, ONE, 0.0) == (3, Reason.ENDPOINT)
    assert answered(limiter, ONE, 0.9) == (0, Reason.ENDPOINT)
    assert answered(limiter, ONE, 1.0) == (3, Reason.ENDPOINT)
