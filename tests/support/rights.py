"""What the service accounts may do: as docs/security.md says it, and as an API server tells it."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import product

from support.repository import ROOT

RELEASE = "checkout-fulfillment"
"""The release whose names stand in the table."""

_PAGE = ROOT / "docs/security.md"
_LISTED = re.compile(r"^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one kind of objects."""

    verb: str
    resource: str
    """As `kubectl auth can-i --list` writes it: `pods/log`, `jobs.batch`; of no resource, the path of a URL."""
    name: str = ""
    """The one object that it is for; empty: each."""


def documented(account: str, switched_on: Collection[str]) -> set[Right]:
    """Read what a service account may do.

    Args:
        account: its workload.
        switched_on: what is so of the chart's values, of the column `when`.
    """
    return {
        Right(verb, resource, name)
        for resource, verbs, name, when in _rows(account)
        for verb in verbs.split(", ")
        if when in {"always", *switched_on}
    }


def conditions(accounts: Collection[str]) -> set[str]:
    """Read what decides about rights beside the account."""
    return {when for account in accounts for *_, when in _rows(account)} - {"always"}


def listed(said: str) -> set[Right]:
    """Read what `kubectl auth can-i --list` says."""
    return {
        Right(verb, resource or url, name)
        for resource, urls, names, verbs in _LISTED.findall(said)
        for verb, url, name in product(verbs.split(), urls.split() or [""], names.split() or [""])
    }


def can_i_list(account: str, namespace: str, of_namespace: str) -> tuple[str, ...]:
    """Give the arguments by which kubectl lists what a service account may do in a namespace."""
    user = f"system:serviceaccount:{of_namespace}:{account}"
    return ("auth", "can-i", "--list", f"--namespace={namespace}", f"--as={user}")


def secrets(pod: str) -> dict[str, str]:
    """Read which Secrets a pod mounts: the chart's value that names the key → when."""
    found = re.findall(rf"^\| {pod} \| `([\w.]+)` \| ([^|]+) \| [^|]* \|$", _PAGE.read_text(), re.MULTILINE)
    return dict(found)


def _rows(account: str) -> list[tuple[str, str, str, str]]:
    row = rf"^\| {account} \| `([a-z0-9./-]+)` \| ([a-z, ]+) \| (?:`([a-z-]+)`)? *\| ([^|]+) \| [^|]* \|$"
    found: list[tuple[str, str, str, str]] = re.findall(row, _PAGE.read_text(), re.MULTILINE)
    assert found, f"{_PAGE} has no row for {account}"
    return found
