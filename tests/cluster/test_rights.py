"""The accounts of an installation may do what docs/security.md says, and no more."""

import pytest

from support.live_cluster import RELEASE, LiveCluster
from support.rights import can_i_list, documented, listed

pytestmark = pytest.mark.usefixtures("shop")

SWITCHED_ON = ("`retention` is not 0s", "`recovery.enabled`", "`page.enabled`", "a backend is `job`")
"""What is so of the values that the release is told."""


@pytest.mark.parametrize("account", ["webhook", "operator", "recovery", "page"])
async def test_each_account_may_do_what_the_table_says(cluster: LiveCluster, account: str) -> None:
    """`kubectl auth can-i --list` as the account, beside what it lists for one that nobody gave anything."""
    anyone, found = [
        listed(await cluster.kubectl(*can_i_list(name, cluster.namespace, of_namespace=cluster.namespace)))
        for name in ("nobody", f"{RELEASE}-{account}")
    ]
    assert anyone
    assert found - anyone == documented(account, SWITCHED_ON)


@pytest.mark.parametrize("account", ["webhook", "operator", "recovery", "page"])
async def test_no_right_leaves_the_namespace(cluster: LiveCluster, account: str) -> None:
    """Where the cluster itself lives, each may do what any other account may."""
    anyone, found = [
        listed(await cluster.kubectl(*can_i_list(name, "kube-system", of_namespace=cluster.namespace)))
        for name in ("nobody", f"{RELEASE}-{account}")
    ]
    assert found == anyone
