"""Makes a Kubernetes Job of each order: its end is the order's."""

import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import msgspec
import structlog

from fulfillment_operator.backends.document import order_document
from fulfillment_operator.backends.interface import (
    Backend,
    BackendContext,
    Done,
    InProgress,
    Outcome,
    PaidOrder,
    Refused,
    TryAgain,
)
from fulfillment_operator.backends.job_manifest import (
    ORDER_FILE,
    ORDER_FOLDER,
    JobTemplate,
    Owner,
    job_manifest,
    parse_template,
)
from fulfillment_runtime.exits import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes_errors import (
    ApiDeniedError,
    ApiUnavailableError,
    KubernetesError,
    RequestExistsError,
    RequestRefusedError,
)
from fulfillment_runtime.kubernetes_jobs import Job, JobApi, JobEnd

_log = structlog.get_logger(__name__)

_TIMEOUT = 5.0  # seconds, of one request to the API server
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(minutes=1)  # between two looks at a Job
_LAST_LINES = 20
_MOST_WORDS = 1000  # characters of an error


class JobBackend:
    """Makes a Job of each order, in the request's namespace.

    Complete: done, with the Job's name as reference. Failed: refused, with the last lines of its log. The name follows
    from the request's, and from a person's wish for another try: so each try has one Job, however often it is made.
    """

    name = "job"

    def __init__(
        self, jobs: JobApi, template: JobTemplate, *, deadline: timedelta, clock: Callable[[], datetime]
    ) -> None:
        """Make the backend.

        Args:
            jobs: makes and reads Jobs.
            template: what the Job is like.
            deadline: how long a Job may run, unless the template says otherwise.
            clock: tells the time, with its zone.
        """
        self._jobs = jobs
        self._template = template
        self._deadline = deadline
        self._clock = clock

    async def try_out(self) -> None:
        """Let the API server check the template.

        Raises:
            KubernetesError: it refuses the Job, or cannot be asked.
        """
        name = "checkout-fulfillment-template"
        await self._jobs.try_out(job_manifest(self._template, name, None, {}, self._deadline))

    async def fulfill(self, order: PaidOrder) -> Outcome:
        """Make the order's Job, or see how it goes."""
        name = job_name(order)
        try:
            job = await (self._jobs.read(name) if order.in_progress else self._made(order, name))
            if job is None:
                return Refused(
                    f"the Job {name} was deleted before its end was seen: find out what it did, and then ask for "
                    "another try, or complete the order by hand"
                )
            if job.owner != order.uid:
                return Refused(f"there is a Job named {name} that is not this order's: delete it, then ask for a try")
            if not order.in_progress:
                document = {"key": order.key, **order_document(order)}
                await self._jobs.give_secret(job, {ORDER_FILE: msgspec.json.encode(document).decode()})
            return await self._outcome(job)
        except RequestRefusedError as error:
            return Refused(f"the API server refuses the Job: {error}"[:_MOST_WORDS])
        except KubernetesError as error:
            return TryAgain(str(error)[:_MOST_WORDS])

    async def _made(self, order: PaidOrder, name: str) -> Job | None:
        owner = Owner(order.key, order.uid)
        manifest = job_manifest(self._template, name, owner, environment_of(order), self._deadline)
        try:
            return await self._jobs.create(manifest)
        except RequestExistsError:
            return await self._jobs.read(name)

    async def _outcome(self, job: Job) -> Outcome:
        match job.end:
            case None:
                pause = min(max((self._clock() - job.created_at) / 2, _SHORTEST), _LONGEST)
                return InProgress(f"the Job {job.name} is to fulfill it", job.name, pause)
            case JobEnd.COMPLETE:
                return Done(job.name)
            case JobEnd.FAILED:
                what = f"the Job {job.name} failed ({job.why})"
                last = await self._last_lines(job)
                left = _MOST_WORDS - len(what) - len(": …")
                shown = last if len(last) <= left else f"…{last[-left:]}"
                return Refused((f"{what}: {shown}" if shown else what)[:_MOST_WORDS])

    async def _last_lines(self, job: Job) -> str:
        try:
            return await self._jobs.last_lines(job.name, _LAST_LINES)
        except KubernetesError as error:  # what counts is the Job's end
            _log.warning("backend.job.no_log", job=job.name, message=str(error))
            return ""


@asynccontextmanager
async def job_backend(context: BackendContext) -> AsyncIterator[Backend]:
    """Make the backend of the settings, and let the API server check its template.

    Raises:
        SettingsError: there is no template, or the API server refuses it.
        AccessDeniedError: RBAC forbids it.
        UnavailableError: the API server cannot be reached.
    """
    settings = context.settings
    if settings.job_template is None:
        raise SettingsError("FULFILLMENT_JOB_TEMPLATE is not set: the job backend makes Jobs of it")
    backend = JobBackend(
        JobApi(context.kubernetes, settings.namespace, timeout=_TIMEOUT),
        parse_template(settings.job_template),
        deadline=settings.backend_deadline,
        clock=context.clock,
    )
    try:
        await backend.try_out()
    except ApiUnavailableError as error:
        raise UnavailableError(str(error)) from error
    except ApiDeniedError as error:
        raise AccessDeniedError(str(error)) from error
    except RequestExistsError:
        pass
    except KubernetesError as error:
        raise SettingsError(f"FULFILLMENT_JOB_TEMPLATE: the API server refuses the Job: {error}") from error
    yield backend


def job_name(order: PaidOrder) -> str:
    """Name the one Job of an order, or of another try that a person asked for."""
    if not order.retry:
        return order.key
    digest = hashlib.sha256(order.retry.encode()).digest()
    return f"{order.key}-{base64.b32encode(digest[:5]).decode().lower()}"


def environment_of(order: PaidOrder) -> dict[str, str]:
    """Tell a container what the order is, without anything personal."""
    amount = order.session.amount
    return {
        "ORDER_KEY": order.key,
        "ORDER_FILE": f"{ORDER_FOLDER}/{ORDER_FILE}",
        "SESSION_ID": order.reference.id,
        "LIVEMODE": str(order.reference.livemode).lower(),
        "MODE": order.session.mode,
        **({"AMOUNT": str(amount.total), "CURRENCY": amount.currency} if amount else {}),
    }
