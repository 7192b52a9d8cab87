"""The manual backend: a person, or another controller, says how an order ended, on a real API server."""

import asyncio

import pytest

from fulfillment_api import names
from fulfillment_api.status import Manual, Phase
from fulfillment_local.credentials import User
from fulfillment_local.fake_stripe.model import Order
from support.running_operator import Shop, at_work

pytestmark = pytest.mark.usefixtures("crd")

PATCH = ("patch", "fr", "--subresource=status", "--type=merge")


async def kubectl(shop: Shop, *command: str) -> None:
    """Run kubectl in the shop's namespace."""
    kubeconfig = str(shop.control_plane.kubeconfigs[User.ADMIN])
    process = await asyncio.create_subprocess_exec(
        shop.control_plane.kubectl, "--kubeconfig", kubeconfig, "--namespace", shop.namespace, *command
    )
    assert await process.wait() == 0


async def test_a_manual_order_waits_for_a_person(shop: Shop) -> None:
    """Status says what to type; what is typed then ends it."""
    async with at_work(shop, backend="manual"):
        name = await shop.sell(Order())
        waiting = await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        assert waiting.status is not None
        done, fail = (part.split(", ", 1)[1] for part in waiting.status.message.split("; "))
        assert done == (f"kubectl annotate --overwrite -n {shop.namespace} fr {name} {names.COMPLETE}=REFERENCE")
        assert fail == f"kubectl annotate --overwrite -n {shop.namespace} fr {name} {names.FAIL}=WHY"
        await kubectl(shop, *done.replace("REFERENCE", "by-hand-7").split(" ")[1:])
        request = await shop.becomes(name, Phase.FULFILLED, "ManuallyCompleted")
    assert request.status is not None
    assert request.status.fulfillment is not None
    assert (request.status.fulfillment.backend, request.status.fulfillment.reference) == ("manual", "by-hand-7")


async def test_another_controller_ends_it_by_a_patch_of_status(shop: Shop) -> None:
    """What it wrote stays, whatever the operator writes; each value is followed once."""
    async with at_work(shop, backend="manual"):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await kubectl(shop, *PATCH, name, '--patch={"status":{"manual":{"fail":"sold out"}}}')
        rejected = await shop.becomes(name, Phase.FAILED, "ManuallyFailed")
        await shop.annotate(name, retry="1")
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await kubectl(shop, *PATCH, name, '--patch={"status":{"manual":{"complete":"parcel-9","fail":null}}}')
        request = await shop.becomes(name, Phase.FULFILLED, "ManuallyCompleted")
    assert rejected.status is not None
    assert rejected.status.message == "another controller says that the order is not to be fulfilled: sold out"
    assert request.status is not None
    assert request.status.message == "another controller says that the order is fulfilled: parcel-9"
    assert request.status.manual == Manual(complete="parcel-9")
    assert request.status.fulfillment is not None
    assert request.status.fulfillment.reference == "parcel-9"


async def test_the_order_of_another_backend_is_not_ended_so(shop: Shop) -> None:
    """It has an end of its own: only a person goes before that, by an annotation."""
    async with at_work(shop, backend="manual"):
        name = await shop.sell(Order())
        await shop.becomes(name, Phase.FULFILLING, "Dispatched")
        await shop.annotate(name, paused="a call")
        await shop.becomes(name, Phase.FULFILLING, "Paused")
        await kubectl(shop, *PATCH, name, '--patch={"status":{"fulfillment":{"backend":"http"}}}')
        await kubectl(shop, *PATCH, name, '--patch={"status":{"manual":{"complete":"parcel-9"}}}')
        await shop.annotate(name, paused=None, fail="sold out")
        request = await shop.becomes(name, Phase.FAILED, "ManuallyFailed")
    assert request.status is not None
    assert request.status.message == "a person says that the order is not to be fulfilled: sold out"
