"""A CustomResourceDefinition that is older than the service, as `crds.install=false` may leave one behind."""

import asyncio
from collections.abc import AsyncIterator
from copy import deepcopy
from typing import Any

import pytest
from kubernetes.aio import client
from structlog.testing import capture_logs

from fulfillment_api.crd import custom_resource_definition
from fulfillment_api.names import API_VERSION, PLURAL, request_name
from fulfillment_api.spec import Payment, PaymentStatus, Session, Spec
from fulfillment_local.control_plane import ControlPlane
from fulfillment_runtime.kubernetes.fulfillment_requests import FulfillmentRequestClient
from fulfillment_runtime.kubernetes.library import LibraryRestClient
from fulfillment_runtime.kubernetes.rest import MediaType, Method
from support.running_webhook import RunningWebhook
from support.stripe_events import SESSION, snapshot

NAME = request_name(SESSION["id"])
EXPIRED = snapshot("checkout.session.expired")


@pytest.fixture
async def without_expiry(control_plane: ControlPlane, crd: None) -> AsyncIterator[None]:  # noqa: ARG001 - it is changed
    """Take `spec.expiry` out of the definition, and put it back."""
    ours: Any = custom_resource_definition()
    older = deepcopy(ours["spec"]["versions"])
    del older[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["expiry"]
    async with control_plane.connect() as api:
        rest, definitions = LibraryRestClient(api), client.ApiextensionsV1Api(api)
        probe = request_name("cs_test_probe")
        path = f"/apis/{API_VERSION}/namespaces/default/{PLURAL}"
        spec = Spec(session=Session(id="cs_test_probe", livemode=False), payment=Payment(status=PaymentStatus.PAID))
        await FulfillmentRequestClient(rest, "default", timeout=10).create(probe, spec)

        async def becomes(versions: list[Any], status: int) -> None:
            await definitions.patch_custom_resource_definition(
                ours["metadata"]["name"], {"spec": {"versions": versions}}
            )
            async with asyncio.timeout(60):
                while True:
                    answer = await rest.request(
                        Method.PATCH,
                        f"{path}/{probe}",
                        query={"dryRun": "All", "fieldValidation": "Strict"},
                        body=b'{"spec": {"expiry": {"event": "evt_1", "observedAt": "2026-11-02T09:00:00Z"}}}',
                        content_type=MediaType.MERGE_PATCH,
                        timeout=10,
                    )
                    if answer.status == status:
                        return
                    await asyncio.sleep(0.05)

        await becomes(older, 422)
        try:
            yield
        finally:
            await becomes(ours["spec"]["versions"], 200)
            await rest.request(Method.DELETE, f"{path}/{probe}", timeout=10)


async def test_what_an_older_definition_cannot_hold_is_not_said_to_be_written(
    webhook: RunningWebhook, without_expiry: None
) -> None:
    """It is answered 503, so that Stripe sends it again, and the log names the field; what it does know goes on."""
    del without_expiry
    assert (await webhook.send(snapshot(session={"payment_status": "unpaid"})))[1]["result"] == "created"
    with capture_logs() as logs:
        assert (await webhook.send(EXPIRED))[0] == 503
    (line,) = logs
    assert (line["event"], line["log_level"], line["outcome"]) == ("webhook.not_recorded", "error", "blocked")
    assert line["message"] == (
        'the CustomResourceDefinition is older than this program, and lacks "spec.expiry": install the chart, or run '
        "`fulfillment crd | kubectl apply -f -`"
    )
    succeeded = snapshot("checkout.session.async_payment_succeeded", id="evt_2")
    assert (await webhook.send(succeeded))[1]["result"] == "updated"
