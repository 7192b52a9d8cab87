"""Whom the webhook hears: the addresses that are allowed, and why a sender is turned away before its body is read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@unique
class SenderRejectReason(StrEnum):
    """Why a sender is turned away, whatever its body holds: a metric's label, and the error code in the answer."""

    NOT_ALLOWED = "not-allowed"
    OVERLOADED = "overloaded"
    INVALID_HTTP = "invalid-http"

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status of the answer."""
        match self:
            case SenderRejectReason.NOT_ALLOWED:
                return HTTPStatus.FORBIDDEN
            case SenderRejectReason.OVERLOADED:
                return HTTPStatus.SERVICE_UNAVAILABLE
            case SenderRejectReason.INVALID_HTTP:
                return HTTPStatus.BAD_REQUEST


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a request comes from, as far as that is known."""

    peer: str | None
    """The IP address of the connection's other end; None: it is unknown."""
    forwarded_for: Sequence[str] = ()
    """The values of `X-Forwarded-For`, a header each, in their order: whatever a sender wrote, and proxies appended."""


class SenderRejectedError(Exception):
    """The sender is none that is allowed. The message is one sentence for the person who set that."""

    def __init__(self, source: Address | None) -> None:
        super().__init__(
            f"events are not taken from {source or 'an unknown address'}: STRIPE_ALLOWED_SOURCES does not have it. "
            "Should it be a proxy that Stripe's events come through, name it in FULFILLMENT_TRUSTED_PROXIES"
        )
        self.reason = SenderRejectReason.NOT_ALLOWED


@dataclass(frozen=True, slots=True)
class AllowedSources:
    """The addresses that events are taken from, and the proxies that are believed about them."""

    networks: tuple[Network, ...]
    proxies: tuple[Network, ...] = ()

    @classmethod
    def of(cls, networks: Iterable[str], proxies: Iterable[str] = ()) -> "AllowedSources":
        """Read addresses and ranges in CIDR notation.

        Raises:
            ValueError: one of them is neither.
        """
        return cls(tuple(map(ip_network, networks)), tuple(map(ip_network, proxies)))

    def check(self, sender: Sender) -> None:
        """Make sure that a request comes from where it may.

        Raises:
            SenderRejectedError: it does not, or nobody who is believed says where it comes from.
        """
        source = self._source_of(sender)
        if source is None or not _is_in(self.networks, source):
            raise SenderRejectedError(source)

    def _source_of(self, sender: Sender) -> Address | None:
        """Go back from the connection for as long as each hop is a proxy that is believed about the one before it."""
        hops = [hop for value in sender.forwarded_for for hop in value.split(",")]
        source = _address_of(sender.peer or "")
        while source is not None and hops and _is_in(self.proxies, source):
            source = _address_of(hops.pop())
        return source


def _is_in(networks: Iterable[Network], address: Address) -> bool:
    return any(address in network for network in networks)


def _address_of(hop: str) -> Address | None:
    """Read an address as proxies write it: some with a port, `192.0.2.1:443` or `[2001:db8::1]:443`."""
    host = hop.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    # A port that is open for both families shows IPv4 as a part of IPv6.
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
