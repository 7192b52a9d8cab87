"""Requests a manual action by annotations, records it in an Event, and waits until the operator handled it."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

from fulfillment_api.resource import FulfillmentRequest
from fulfillment_cli.actions import (
    EVENT_REASONS,
    Action,
    Actor,
    Verb,
    annotations,
    changed_meanwhile,
    event_note,
    failed_precondition,
    is_handled,
    overtaken,
)
from fulfillment_cli.follow import follow
from fulfillment_runtime.kubernetes.errors import ConflictError, KubernetesError
from fulfillment_runtime.kubernetes.event_sink import EventSink
from fulfillment_runtime.kubernetes.events import Event, EventType
from fulfillment_runtime.kubernetes.fulfillment_requests import UNFULFILLED, FulfillmentRequestClient

_ATTEMPTS = 5


class PreconditionFailedError(Exception):
    """The request is not in a state that allows the action."""


@dataclass(frozen=True, slots=True)
class RequestedAction:
    """An action that was requested."""

    request: FulfillmentRequest
    """As it was then."""
    verb: Verb
    annotations: Mapping[str, str | None]
    event_error: str | None = None
    """Why no Event was posted about it."""

    def is_handled(self, request: FulfillmentRequest) -> bool:
        """Tell whether the operator handled it, by the FulfillmentRequest as it stands.

        Raises:
            PreconditionFailedError: it never will.
        """
        if is_handled(self.verb, self.annotations, request):
            return True
        why = overtaken(self.verb, request)
        if why is not None:
            raise PreconditionFailedError(f"{request.metadata.name} {why}")
        return False


@dataclass(frozen=True, slots=True)
class ActionClient:
    """Requests actions on a person's behalf."""

    requests: FulfillmentRequestClient
    events: EventSink | None
    """Where who requested it is recorded; None: in the annotations alone."""
    actor: Actor

    async def request_action(self, action: Action, request: FulfillmentRequest) -> RequestedAction:
        """Request an action, if the FulfillmentRequest as it stands at that moment allows it, and was selected as such.

        Args:
            action: what is requested.
            request: as a person selected it.

        Raises:
            PreconditionFailedError: it changed meanwhile.
            KubernetesError: as `FulfillmentRequestClient`'s methods do.
        """
        selected = request
        for attempt in range(1, _ATTEMPTS + 1):
            why = failed_precondition(action.verb, request) or changed_meanwhile(action.verb, selected, request)
            if why is not None:
                raise PreconditionFailedError(f"{request.metadata.name} {why}")
            changes = annotations(action, request, self.actor)
            try:
                written = await self.requests.annotate(request, changes)
            except ConflictError:
                if attempt == _ATTEMPTS:
                    raise
                request = await self.requests.get(request.metadata.name)
            else:
                return RequestedAction(written, action.verb, changes, await self._post_event(action, written))
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    async def _post_event(self, action: Action, request: FulfillmentRequest) -> str | None:
        if self.events is None:
            return None
        meta = request.metadata
        event = Event(
            name=f"{meta.name}.{meta.resource_version}",  # of each change there is one
            request=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            type=EventType.NORMAL,
            reason=EVENT_REASONS[action.verb],
            action=action.verb.capitalize(),
            message=event_note(action, self.actor),
            first_timestamp=self.actor.at,
            last_timestamp=self.actor.at,
        )
        try:
            await self.events.write(event)
        except KubernetesError as error:  # the annotation stands all the same
            return str(error)
        return None

    async def read_unfulfilled(self, *, timeout: float) -> dict[str, FulfillmentRequest]:
        """List the requests that are not fulfilled, by their names: to ask for many by name takes many times as long.

        Of those that are fulfilled there may be very many more than what was acted on.

        Args:
            timeout: seconds that a page may take.

        Raises:
            KubernetesError: as `FulfillmentRequestClient`'s methods do.
        """
        pages = self.requests.list_pages(field_selector=UNFULFILLED, timeout=timeout)
        return {each.request.metadata.name: each.request async for page in pages for each in page if each.request}

    async def wait_until_handled(self, requested: RequestedAction, deadline: float) -> FulfillmentRequest | None:
        """Wait until the operator handled it, and return the request as it then is; None when it did not.

        Args:
            requested: the action.
            deadline: until when, by the event loop's clock.

        Raises:
            PreconditionFailedError: it never will.
            KubernetesError: as `follow` does; NotFoundError when it was deleted.
        """
        if requested.is_handled(requested.request):
            return requested.request
        # Read first: of many, most are handled by now, and a watch costs the API server several times as much.
        async with aclosing(follow(self.requests, requested.request.metadata.name, deadline)) as states:
            async for request in states:
                if requested.is_handled(request):
                    return request
        return None


def operator_hint(verb: Verb, namespace: str) -> str:
    """Say what to check when no operator handled it."""
    selector = "app.kubernetes.io/name=checkout-fulfillment,app.kubernetes.io/component=operator"
    hint = f"is the operator running, and for this namespace? kubectl get pods -n {namespace} -l {selector}"
    if verb not in {Verb.COMPLETE, Verb.FAIL}:
        return hint
    log = f"kubectl logs -n {namespace} -l {selector} --tail=-1 | grep not_stopped"
    return f"{hint}; or can it not stop the backend? {log}"
