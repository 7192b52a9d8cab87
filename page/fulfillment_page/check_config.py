"""What `fulfillment check-config` checks of the order page."""

from collections.abc import AsyncIterator, Mapping

from fulfillment_page.rbac import PAGE_RULES
from fulfillment_page.settings import PageSettings
from fulfillment_runtime.commands.check_config import check_cluster, check_kubeconfig
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.findings import Check, Finding, findings
from fulfillment_runtime.settings import load_settings, mistakes_in
from fulfillment_service.settings import EventSettings, mode_mistake


async def page_checks(environ: Mapping[str, str], *, online: bool) -> AsyncIterator[Finding]:
    """Check the settings, and all that the page is rendered by; online, what it may do."""
    mistakes = {
        **dict.fromkeys(mistakes_in(PageSettings, environ)),
        **dict.fromkeys(mistakes_in(EventSettings, environ)),
    }
    if mistakes:
        for finding in findings(Check.SETTINGS, "", mistakes):
            yield finding
        return
    settings, events = load_settings(PageSettings, environ), load_settings(EventSettings, environ)
    mode, broken = mode_mistake(settings, events), _broken(settings)
    for finding in findings(Check.SETTINGS, "the settings are right", [each for each in (mode, broken) if each]):
        yield finding
    for finding in check_kubeconfig(settings):
        yield finding
    if online:
        yield await check_cluster(settings, PAGE_RULES)


def _broken(settings: PageSettings) -> str | None:
    from fulfillment_page.factory import page_renderer  # noqa: PLC0415 - loads the templates' library

    try:
        page_renderer(settings)
    except SettingsError as error:
        return error.message
    return None
