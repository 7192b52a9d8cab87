"""What `fulfillment check-config` checks of the order page."""

from collections.abc import AsyncIterator, Mapping

from fulfillment_page.rbac import PAGE_RULES
from fulfillment_page.settings import PageSettings
from fulfillment_runtime.commands.check_config import check_cluster, check_kubeconfig
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.findings import Check, Finding, findings
from fulfillment_runtime.settings import load_settings
from fulfillment_service.settings import mistakes_with_events


async def page_checks(environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
    """Check the settings, and all that the page is rendered by; online, what it may do."""
    mistakes = mistakes_with_events(PageSettings, environ)
    if mistakes:
        for finding in findings(Check.SETTINGS, "", mistakes):
            yield finding
        return
    settings = load_settings(PageSettings, environ)
    for finding in findings(Check.SETTINGS, "the settings are right", _broken(settings)):
        yield finding
    for finding in check_kubeconfig(settings):
        yield finding
    if online:
        yield await check_cluster(settings, PAGE_RULES)


def _broken(settings: PageSettings) -> list[str]:
    from fulfillment_page.factory import page_renderer  # noqa: PLC0415 - loads the templates' library

    try:
        page_renderer(settings)
    except SettingsError as error:
        return [error.message]
    return []
