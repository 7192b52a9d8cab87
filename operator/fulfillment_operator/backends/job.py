"""Makes a Kubernetes Job of each order: its end is the order's. At most one of them is at work."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import msgspec
import structlog

from fulfillment_api.spec import SaleKind
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
    TO_TRY_OUT,
    JobTemplate,
    Purpose,
    job_manifest,
    parse_template,
)
from fulfillment_operator.backends.job_purpose import fulfilling, job_name, to_fulfill, to_see_to
from fulfillment_runtime.exits import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes_errors import (
    ApiDeniedError,
    ApiUnavailableError,
    KubernetesError,
    QuotaExceededError,
    RequestExistsError,
    RequestRefusedError,
)
from fulfillment_runtime.kubernetes_jobs import Job, JobApi, JobEnd

_log = structlog.get_logger(__name__)

_TIMEOUT = 5.0  # seconds, of one request to the API server
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(minutes=1)  # between two looks at a Job
_STARTS_WITHIN = timedelta(minutes=2)
"""A Job of which no pod is at work by then is looked at more closely."""
_LAST_LINES = 20
_MOST_WORDS = 1000  # characters of an error


class JobBackend:
    """Makes a Job of each order, in the request's namespace.

    Complete: done, with the Job's name as reference. Failed: refused, with the last lines of its log. The name follows
    from the request's, and from a person's wish for another try: so each try has one Job, however often it is made.
    """

    name = "job"

    def __init__(
        self,
        jobs: JobApi,
        template: JobTemplate,
        after_sale: JobTemplate | None,
        *,
        deadline: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        """Make the backend.

        Args:
            jobs: makes, reads and stops Jobs.
            template: what the Job is like that fulfills an order.
            after_sale: what the Job is like that sees to a refund or a dispute; None makes none.
            deadline: how long a Job may run, unless the template says otherwise.
            clock: tells the time, with its zone.
        """
        self._jobs = jobs
        self._template = template
        self._after_sale = after_sale
        self._deadline = deadline
        self._clock = clock

    async def fulfill(self, order: PaidOrder) -> Outcome:
        """Make the order's Job, or see how it goes. One of an earlier try that is still at work is stopped first."""
        try:
            return await (self._look(order) if order.in_progress else self._begin(order))
        except RequestRefusedError as error:
            return _refusal(error)
        except KubernetesError as error:
            return _trouble(error)

    async def after_sale(self, order: PaidOrder, kind: SaleKind) -> Outcome:
        """Stop the order's Job, if it is at work; when it is gone, make the Job that sees to it, if there is any."""
        try:
            going = await self._stop(order.key, order.uid)
            if going:
                return TryAgain(f"the Job {going[0].name} is being stopped")
            if self._after_sale is None:
                return Done()
            made = await self._made(self._after_sale, to_see_to(order, kind), order)
        except RequestRefusedError as error:
            return _refusal(error)
        except KubernetesError as error:
            return _trouble(error)
        return made if isinstance(made, Refused) else Done(made.name)

    async def stop(self, key: str, uid: str) -> TryAgain | None:
        """Stop the order's Job, if it is at work. It is not waited for: its pods may take a while to end."""
        try:
            await self._stop(key, uid)
        except KubernetesError as error:
            return _trouble(error)
        return None

    async def _begin(self, order: PaidOrder) -> Outcome:
        if order.retry:
            earlier = await self._stop(order.key, order.uid, but=job_name(order))
            if earlier:
                return TryAgain(f"the Job {earlier[0].name} of an earlier try is being stopped first")
        job = await self._made(self._template, to_fulfill(order), order)
        return job if isinstance(job, Refused) else await self._outcome(job)

    async def _look(self, order: PaidOrder) -> Outcome:
        name = job_name(order)
        job = await self._jobs.read(name)
        if job is None:
            return _deleted(name)
        return await self._outcome(job) if job.owner == order.uid else _not_ours(name)

    async def _made(self, template: JobTemplate, purpose: Purpose, order: PaidOrder) -> Job | Refused:
        """Make a Job with its order, unless there is one."""
        try:
            job = await self._jobs.create(job_manifest(template, purpose, self._deadline))
        except RequestExistsError:
            found = await self._jobs.read(purpose.name)
            if found is None:
                return _deleted(purpose.name)
            job = found
        if job.owner != order.uid:
            return _not_ours(job.name)
        document = {"key": order.key, **order_document(order)}
        await self._jobs.give_secret(job, {ORDER_FILE: msgspec.json.encode(document).decode()})
        return job

    async def _stop(self, key: str, uid: str, *, but: str = "") -> Sequence[Job]:
        """Stop the Jobs that are at work on an order, but for one, and tell which are not gone."""
        going = [
            job
            for job in await self._jobs.labelled(fulfilling(key))
            if job.owner == uid and job.end is None and job.name != but
        ]
        for job in going:
            if not job.is_stopping:
                _log.info("backend.job.stopped", job=job.name)
                await self._jobs.stop(job)
        return going

    async def _outcome(self, job: Job) -> Outcome:
        match job.end:
            case None:
                now = self._clock()
                age = now - job.created_at
                pause = min(max(age / 2, _SHORTEST), _LONGEST)
                hindrance = await self._jobs.hindrance(job, now) if job.is_idle and age >= _STARTS_WITHIN else ""
                if hindrance:
                    return TryAgain(f"the Job {job.name} does not start: {hindrance}", pause)
                return InProgress(f"the Job {job.name} is to fulfill it", job.name, pause)
            case JobEnd.COMPLETE:
                return Done(job.name)
            case JobEnd.FAILED:
                what = f"the Job {job.name} failed ({job.why})"
                last = await self._last_lines(job)
                left = _MOST_WORDS - len(what) - len(": …")
                shown = last if len(last) <= left else f"…{last[-left:]}"
                return Refused(f"{what}: {shown}" if shown else what)

    async def _last_lines(self, job: Job) -> str:
        try:
            lines = await self._jobs.last_lines(job.name, _LAST_LINES)
            return " | ".join(filter(None, map(str.strip, lines.splitlines())))  # Events and tables have one line
        except KubernetesError as error:  # what counts is the Job's end
            _log.warning("backend.job.no_log", job=job.name, message=str(error))
            return ""


@asynccontextmanager
async def job_backend(context: BackendContext) -> AsyncIterator[Backend]:
    """Make the backend of the settings, and let the API server check its templates.

    Raises:
        SettingsError: there is no template, or the API server refuses one.
        AccessDeniedError: RBAC forbids it.
        UnavailableError: the API server cannot be reached.
    """
    settings = context.settings
    if settings.job_template is None:
        raise SettingsError("FULFILLMENT_JOB_TEMPLATE is not set: the job backend makes Jobs of it")
    jobs = JobApi(context.kubernetes, settings.namespace, timeout=_TIMEOUT)
    template = await _tried(jobs, settings.job_template, "FULFILLMENT_JOB_TEMPLATE", settings.backend_deadline)
    after_sale = settings.job_after_sale_template and await _tried(
        jobs, settings.job_after_sale_template, "FULFILLMENT_JOB_AFTER_SALE_TEMPLATE", settings.backend_deadline
    )
    yield JobBackend(jobs, template, after_sale or None, deadline=settings.backend_deadline, clock=context.clock)


async def _tried(jobs: JobApi, text: str, setting: str, deadline: timedelta) -> JobTemplate:
    """Read a template, and let the API server check it."""
    template = parse_template(text, setting)
    try:
        await jobs.try_out(job_manifest(template, TO_TRY_OUT, deadline))
    except ApiUnavailableError as error:
        raise UnavailableError(str(error)) from error
    except (RequestExistsError, QuotaExceededError):  # there is nothing else to be said against it
        return template
    except ApiDeniedError as error:
        raise AccessDeniedError(str(error)) from error
    except KubernetesError as error:
        raise SettingsError(f"{setting}: the API server refuses the Job: {error}") from error
    return template


def _deleted(name: str) -> Refused:
    return Refused(
        f"the Job {name} was deleted before its end was seen: find out what it did, and then ask for "
        "another try, or complete the order by hand"
    )


def _not_ours(name: str) -> Refused:
    return Refused(f"there is a Job named {name} that is not this order's: delete it, then ask for a try")


def _refusal(error: RequestRefusedError) -> Refused:
    return Refused(f"the API server refuses the Job: {error}")


def _trouble(error: KubernetesError) -> TryAgain:
    return TryAgain(str(error))
