"""What `fulfillment check-config` checks of the operator."""

from collections.abc import AsyncIterator, Iterator, Mapping

from fulfillment_operator.backends.installed import load_backend
from fulfillment_operator.backends.routes import label
from fulfillment_operator.mail.factory import customer_mail
from fulfillment_operator.mail.smtp import Mailer, NoMailer
from fulfillment_operator.settings import OperatorSettings, load_operator_settings, mistakes_in_operator_settings
from fulfillment_runtime.chart_values import with_chart_values
from fulfillment_runtime.commands.check_config import check_kubeconfig
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.findings import Check, Finding, Verdict, findings


async def operator_checks(environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
    """Check the settings, with the routes and the Job's template, the mail templates, and the backends.

    Online, also what the operator may do, the backends at work, the mail server, and Stripe.
    """
    mistakes = mistakes_in_operator_settings(environ)
    for finding in findings(Check.SETTINGS, "the settings are right", mistakes):
        yield finding
    if mistakes:
        return
    settings = load_operator_settings(environ)
    for finding in (*check_kubeconfig(settings), *_routes(settings)):
        yield finding
    mailer, finding = _mailer(settings)
    yield finding
    if not online:
        for finding in _backends(settings):
            yield finding
        return
    from fulfillment_operator.check_online import online_checks  # noqa: PLC0415 - loads every client library

    async for finding in online_checks(settings, environ, mailer):
        yield finding


def _routes(settings: OperatorSettings) -> Iterator[Finding]:
    """Tell of routes for the other mode: the same routes may serve a test shop and a live one."""
    for number, route in enumerate(settings.routing.routes, start=1):
        if route.when.livemode not in {None, settings.key_is_live}:
            mode = "live" if settings.key_is_live else "test"
            wanted = str(route.when.livemode).lower()
            yield Finding(
                Verdict.OK,
                Check.BACKENDS,
                with_chart_values(
                    f"FULFILLMENT_ROUTES: {label(number, route)} takes no order here: it is for livemode {wanted}, "
                    f"and STRIPE_API_KEY is a key of {mode} mode"
                ),
            )


def _mailer(settings: OperatorSettings) -> tuple[Mailer | None, Finding]:
    try:
        mail = customer_mail(settings)
    except SettingsError as error:
        return None, Finding(Verdict.FAILURE, Check.MAIL, error.message)
    match mail:
        case NoMailer():
            note = with_chart_values("FULFILLMENT_SMTP_HOST is not set: customers are not mailed of failed payments")
            return None, Finding(Verdict.OK, Check.MAIL, note)
        case Mailer():
            return mail, Finding(Verdict.OK, Check.MAIL, "the mail templates render")


def _backends(settings: OperatorSettings) -> list[Finding]:
    """Load every backend that an order may go to."""
    names, mistakes = sorted(settings.routing.backends), []
    for name in names:
        try:
            load_backend(name)
        except SettingsError as error:
            mistakes.append(error.message)
    return findings(Check.BACKENDS, f"the backends can be loaded: {', '.join(names) or 'none'}", mistakes)
