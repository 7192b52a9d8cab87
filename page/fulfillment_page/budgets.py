"""How often visits may cost something: for each address, and over all. Nobody waits. Pure: the time is given."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from fulfillment_runtime.token_bucket import TokenBucket

_MOST_ADDRESSES = 10_000
"""That are told apart. An address that was forgotten has a new budget; the one over all is there for that."""
_PREFIX = 64
"""Bits of an IPv6 address that name one customer of a provider (RFC 6177)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many a second in the long run."""

    burst: int
    per_second: float


class Budget:
    """A budget of each address, within one over all."""

    def __init__(self, each: Rate, overall: Rate, clock: Callable[[], float]) -> None:
        """Make a full one.

        Args:
            each: of one address.
            overall: of all together.
            clock: tells seconds from any moment on; it never goes back.
        """
        self._each = each
        self._clock = clock
        self._overall = _bucket(overall, clock)
        self._of_address: OrderedDict[str, TokenBucket] = OrderedDict()

    def try_accept(self, address: str) -> bool:
        """Take from the address's budget and from that over all, if there is something in both."""
        key = customer_of(address)
        bucket = self._of_address.get(key) or _bucket(self._each, self._clock)
        self._of_address[key] = bucket
        self._of_address.move_to_end(key)
        if len(self._of_address) > _MOST_ADDRESSES:
            self._of_address.popitem(last=False)
        return bucket.try_accept() and self._overall.try_accept()


def customer_of(address: str) -> str:
    """Return what stands for all addresses that one visitor has: of IPv6, a network."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or int(found) >> (128 - _PREFIX))


def _bucket(rate: Rate, clock: Callable[[], float]) -> TokenBucket:
    return TokenBucket(burst=rate.burst, per_second=rate.per_second, clock=clock)
