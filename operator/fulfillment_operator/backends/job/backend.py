"""Makes a Kubernetes Job of each order: its end is the order's. At most one of them is at work."""

from collections.abc import AsyncIterator, Callable, Sequence
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
    Rejected,
    ReversalNotice,
    TryAgain,
)
from fulfillment_operator.backends.job.job_api import Job, JobApi, JobEnd
from fulfillment_operator.backends.job.manifest import (
    DRY_RUN,
    ORDER_FILE,
    Purpose,
    for_order,
    for_reversal,
    fulfillment_selector,
    job_manifest,
    job_name,
)
from fulfillment_operator.backends.job.settings import REVERSAL_TEMPLATE, TEMPLATE, JobSettings
from fulfillment_operator.backends.job.template import JobTemplate, parse_template
from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.kubernetes.errors import (
    AlreadyExistsError,
    ApiUnavailableError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    KubernetesError,
    QuotaExceededError,
)
from fulfillment_runtime.settings import load_settings

_log = structlog.get_logger(__name__)

_TIMEOUT = 5.0  # seconds, of one request to the API server
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(minutes=15)
"""Between two looks at a Job, half of its age: Stripe is asked before each, and allows so many reads of a payment."""
_STARTS_WITHIN = timedelta(minutes=2)
"""Of a Job that has no pod at work by then, the pods are read, too."""
_TAIL_LINES = 20
_LONGEST_ERROR = 1000  # characters, below what status holds


class JobBackend:
    """Makes a Job of each order, in the request's namespace.

    Complete: done, with the Job's name as reference. Failed: rejected, with the last lines of its log. The name follows
    from the request's, and from a person's request for another try: so each try has one Job, however often it is made.
    """

    name = "job"

    def __init__(
        self,
        jobs: JobApi,
        template: JobTemplate,
        reversal_template: JobTemplate | None,
        *,
        deadline: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        """Make the backend.

        Args:
            jobs: makes, reads and stops Jobs.
            template: what the Job is like that fulfills an order.
            reversal_template: what the Job is like that sees to a refund or a dispute; None makes none.
            deadline: how long an order is tried. A Job of it runs no longer; one for a refund or a dispute as long,
                unless the template says otherwise.
            clock: tells the time, with its zone.
        """
        self._jobs = jobs
        self._template = template
        self._reversal_template = reversal_template
        self._deadline = deadline
        self._clock = clock

    async def fulfill(self, order: PaidOrder) -> Outcome:
        """Make the order's Job, or read how it goes. One of an earlier try that is still at work is stopped first."""
        try:
            return await (self._check(order) if order.in_progress else self._start(order))
        except KubernetesError as error:
            return _failure(error)

    async def handle_reversal(self, order: PaidOrder, notice: ReversalNotice) -> Outcome:
        """Make the Job that sees to it, if there is any; of what stops the order, once its own Job is gone."""
        try:
            running = await self._stop(order.key, order.uid) if notice.stops else ()
            if running:
                return TryAgain(f"the Job {running[0].name} is being stopped")
            if self._reversal_template is None:
                return Done()
            job = await self._create(self._reversal_template, for_reversal(order, notice), order, self._deadline)
        except KubernetesError as error:
            return _failure(error)
        return job if isinstance(job, Rejected) else Done(job.name)

    async def stop(self, key: str, uid: str) -> TryAgain | InProgress | None:
        """Stop the order's Job, if it is at work; its pods may take a while to end."""
        try:
            running = await self._stop(key, uid)
        except KubernetesError as error:
            return TryAgain(str(error))
        return InProgress(f"the Job {running[0].name} is being stopped") if running else None

    async def _start(self, order: PaidOrder) -> Outcome:
        if order.retry:
            name = job_name(order)
            is_reused = await self._is_reused(name, order)
            earlier = await self._stop(order.key, order.uid, except_for=name)
            if is_reused:
                return Rejected(f"the Job {name} is of an earlier try with this value: ask for a try with another one")
            if earlier:
                return TryAgain(f"the Job {earlier[0].name} of an earlier try is being stopped first")
        if self._is_late(order):
            return await self._start_late(order)
        job = await self._create(self._template, for_order(order), order, self._left(order))
        return job if isinstance(job, Rejected) else await self._outcome(job, order)

    async def _check(self, order: PaidOrder) -> Outcome:
        return await self._found(order) or _deleted(job_name(order))

    async def _start_late(self, order: PaidOrder) -> Outcome:
        """Make no Job of an order that fails now; there may be one of an attempt before, or a reason for none."""
        found = await self._found(order)
        if found is not None:
            return found
        await self._jobs.dry_run(job_manifest(self._template, for_order(order), self._deadline))
        return TryAgain("no Job could be made in time")

    async def _found(self, order: PaidOrder) -> Outcome | None:
        """Read how its Job goes; None: there is none."""
        job = await self._jobs.read(job_name(order))
        if job is None:
            return None
        return await self._outcome(job, order) if job.owner == order.uid else _not_ours(job.name)

    async def _is_reused(self, name: str, order: PaidOrder) -> bool:
        """Tell whether a person asks for another try with the value of an earlier one, whose Job is still there.

        What this very try made, before an operator was killed, came after the try before it began.
        """
        if order.earlier_try_at is None:
            return False
        job = await self._jobs.read(name)
        return job is not None and job.created_at < order.earlier_try_at

    def _left(self, order: PaidOrder) -> timedelta:
        """Tell how long the order is tried from now on."""
        now = self._clock()
        return (order.started_at or now) + self._deadline - now

    def _is_late(self, order: PaidOrder) -> bool:
        """Tell whether an order that is not fulfilled now fails."""
        return self._left(order) <= timedelta(0)

    async def _create(
        self, template: JobTemplate, purpose: Purpose, order: PaidOrder, deadline: timedelta
    ) -> Job | Rejected:
        """Make a Job with its order, unless there is one."""
        try:
            job = await self._jobs.create(job_manifest(template, purpose, deadline))
        except AlreadyExistsError:
            found = await self._jobs.read(purpose.name)
            if found is None:
                return _deleted(purpose.name)
            job = found
        if job.owner != order.uid:
            return _not_ours(job.name)
        document = {"key": order.key, **order_document(order)}
        try:
            await self._jobs.create_secret(job, {ORDER_FILE: msgspec.json.encode(document).decode()})
        except InvalidError as error:
            if job.end is None and not job.is_stopping:  # its pods would wait for the Secret
                await self._stop_job(job)
            return Rejected(f"the API server refuses the Secret that holds the order: {error}")
        return job

    async def _stop(self, key: str, uid: str, *, except_for: str = "") -> Sequence[Job]:
        """Stop the Jobs that are at work on an order, but for one; return those that are not gone."""
        running = [
            job
            for job in await self._jobs.list_by_label(fulfillment_selector(key))
            if job.owner == uid and job.end is None and job.name != except_for
        ]
        for job in running:
            if not job.is_stopping:
                await self._stop_job(job)
        return running

    async def _stop_job(self, job: Job) -> None:
        _log.info("backend.job.stopped", job=job.name)
        await self._jobs.stop(job)

    async def _outcome(self, job: Job, order: PaidOrder) -> Outcome:
        match job.end:
            case None:
                now = self._clock()
                age = now - job.created_at
                pause = min(max(age / 2, _SHORTEST), _LONGEST)
                blocked_reason = (
                    await self._jobs.blocked_reason(job, now) if job.is_idle and age >= _STARTS_WITHIN else ""
                )
                is_late = self._is_late(order)
                if is_late and not job.is_stopping:  # once the order failed, nobody looks at it any more
                    try:
                        await self._stop_job(job)
                    except ConflictError:  # it may have ended just then
                        return await self._check(order)
                if blocked_reason:
                    return TryAgain(f"the Job {job.name} does not start: {blocked_reason}", pause)
                what = "is stopped" if is_late else "is to fulfill it"
                return InProgress(f"the Job {job.name} {what}", job.name, pause)
            case JobEnd.COMPLETE:
                return Done(job.name)
            case JobEnd.FAILED:
                what = f"the Job {job.name} failed ({job.failure})"
                last = await self._log_tail(job)
                left = _LONGEST_ERROR - len(what) - len(": …")
                shown = last if len(last) <= left else f"…{last[-left:]}"
                return Rejected(f"{what}: {shown}" if shown else what)

    async def _log_tail(self, job: Job) -> str:
        try:
            lines = await self._jobs.log_tail(job.name, _TAIL_LINES)
            return " | ".join(filter(None, map(str.strip, lines.splitlines())))  # Events and tables have one line
        except KubernetesError as error:  # what counts is the Job's end
            _log.warning("backend.job.no_log", job=job.name, message=str(error))
            return ""


@asynccontextmanager
async def job_backend(context: BackendContext) -> AsyncIterator[Backend]:
    """Make the backend, and let the API server check its templates.

    Raises:
        SettingsError: its settings are wrong, or the API server rejects a template.
        AccessDeniedError: RBAC forbids it.
        UnavailableError: the API server cannot be reached.
    """
    settings = load_settings(JobSettings, context.environ)
    jobs = JobApi(context.kubernetes, context.namespace, timeout=_TIMEOUT)
    template = await _checked_template(jobs, settings.template, TEMPLATE, context.deadline)
    reversal_template = None
    if settings.reversal_template is not None:
        reversal_template = await _checked_template(
            jobs, settings.reversal_template, REVERSAL_TEMPLATE, context.deadline
        )
    yield JobBackend(jobs, template, reversal_template, deadline=context.deadline, clock=context.clock)


async def _checked_template(jobs: JobApi, text: str, setting: str, deadline: timedelta) -> JobTemplate:
    """Read a template, and let the API server check it."""
    template = parse_template(text, setting)
    try:
        await jobs.dry_run(job_manifest(template, DRY_RUN, deadline))
    except ApiUnavailableError as error:
        raise UnavailableError(str(error)) from error
    except (AlreadyExistsError, QuotaExceededError):  # there is nothing else to be said against it
        return template
    except ForbiddenError as error:
        raise AccessDeniedError(str(error)) from error
    except KubernetesError as error:
        raise SettingsError(f"{setting}: the API server refuses the Job: {error}") from error
    return template


def _deleted(name: str) -> Rejected:
    return Rejected(
        f"the Job {name} was deleted before its end was seen: find out what it did, and then ask for "
        "another try, or complete the order by hand"
    )


def _not_ours(name: str) -> Rejected:
    return Rejected(f"there is a Job named {name} that is not this order's: delete it, then ask for a try")


def _failure(error: KubernetesError) -> Rejected | TryAgain:
    if isinstance(error, InvalidError):
        return Rejected(f"the API server refuses the Job: {error}")
    return TryAgain(str(error))
