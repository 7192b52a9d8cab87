"""Asks the operator for something by annotations, tells it in an Event, and waits until it is obeyed."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

from kubernetes.aio import client

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_cli.wishes import EVENT_REASONS, Asker, Verb, Wish, annotations, event_note, is_obeyed, refusal
from fulfillment_runtime.kubernetes_api import KubernetesApi
from fulfillment_runtime.kubernetes_changes import changes
from fulfillment_runtime.kubernetes_errors import ApiDeniedError, RequestChangedError

_TRIES = 5
_REPORTER = "kubectl-fulfillment"


class RefusedError(Exception):
    """The request is not in a state in which this can be asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for."""

    request: FulfillmentRequest
    """As it was then."""
    verb: Verb
    annotations: Mapping[str, str | None]
    untold: str | None = None
    """Why there is no Event about it."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks on a person's behalf."""

    api: client.ApiClient
    requests: KubernetesApi
    asker: Asker

    async def ask(self, wish: Wish, request: FulfillmentRequest) -> Asked:
        """Ask for something, if it can be asked of the request as it stands at that moment.

        Raises:
            RefusedError: it changed meanwhile, so that it no longer can.
            KubernetesError: as `KubernetesApi`'s methods do.
        """
        for tries in range(1, _TRIES + 1):
            why = refusal(wish.verb, request)
            if why is not None:
                raise RefusedError(f"{request.metadata.name} {why}")
            wanted = annotations(wish, request, self.asker)
            try:
                written = await self.requests.annotate(request, wanted)
            except RequestChangedError:
                if tries == _TRIES:
                    raise
                request = await self.requests.get(request.metadata.name)
            else:
                return Asked(written, wish.verb, wanted, await self._tell(wish, written))
        raise AssertionError("the last try returns or raises")  # pragma: no cover

    async def _tell(self, wish: Wish, request: FulfillmentRequest) -> str | None:
        try:
            await self.requests.post_event(
                request,
                kind="Normal",
                reason=EVENT_REASONS[wish.verb],
                action=wish.verb.capitalize(),
                note=event_note(wish, self.asker),
                at=self.asker.at,
                reporter=_REPORTER,
            )
        except ApiDeniedError as error:
            return str(error)
        return None

    async def obeyed(self, asked: Asked, deadline: float) -> FulfillmentRequest | None:
        """Wait until the operator obeyed, and return the request as it then is; None when it did not.

        Args:
            asked: what was asked for.
            deadline: until when, by the event loop's clock.

        Raises:
            KubernetesError: as `KubernetesApi`'s methods do; RequestGoneError when it was deleted.
        """
        if is_obeyed(asked.verb, asked.annotations, asked.request):
            return asked.request
        meta = asked.request.metadata
        left = deadline - asyncio.get_running_loop().time()
        if left > 0:
            try:
                async with (
                    asyncio.timeout_at(deadline),
                    aclosing(changes(self.api, meta.namespace, meta.name, within=left)) as found,
                ):
                    async for request in found:
                        if is_obeyed(asked.verb, asked.annotations, request):
                            return request
            except TimeoutError:
                pass  # what it is by now is told below
        last = await self.requests.get(meta.name)
        return last if is_obeyed(asked.verb, asked.annotations, last) else None


def whom_to_look_for(namespace: str) -> str:
    """Say what to check when nobody obeyed."""
    selector = "app.kubernetes.io/name=checkout-fulfillment,app.kubernetes.io/component=operator"
    return f"is the operator running, and for this namespace? kubectl get pods -n {namespace} -l {selector}"
