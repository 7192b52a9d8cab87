"""Settings that stand in files are read again when the files change, as mounted Secrets do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import structlog

from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.settings import contents_of

_log = structlog.get_logger(__name__)

_INTERVAL = 5.0  # seconds; the kubelet itself takes a minute or so

S = TypeVar("S")


async def _take(_settings: object) -> None:
    pass


async def settings_changes(
    load: Callable[[Mapping[str, str]], S],
    environ: Mapping[str, str],
    current: S,
    *,
    check: Callable[[S], Awaitable[None]] = _take,
    interval: float = _INTERVAL,
) -> AsyncIterator[S]:
    """Yield the settings anew whenever a file that one of them is read from has changed, for ever.

    What is wrong is logged, and passed over: the process goes on with what it has until the file is mended. The
    files are looked at again and again, because the kubelet replaces what a link points to, which no watch of the
    file itself would see (Kubernetes, "Mounted Secrets are updated automatically").

    Args:
        load: reads the settings, and raises SettingsError when they are wrong.
        environ: environment variables, such as `os.environ`.
        current: the settings that the process began with. A file may have changed since.
        check: tries what the settings themselves do not show, beside what is at work; raises SettingsError,
            AccessDeniedError, or UnavailableError, after which it is tried again.
        interval: seconds between two times that the files are read.
    """
    files = sorted(value for name, value in environ.items() if name.endswith("_FILE"))
    known: list[list[bytes] | None] | None = None
    while True:
        contents = _contents(files)
        if contents != known:
            try:
                changed = load(environ)
                is_news = known is not None or changed != current
                if is_news:
                    await check(changed)
            except (SettingsError, AccessDeniedError) as error:
                known = contents
                _log.error("settings.not_reloaded", message=error.message)
            except UnavailableError as error:
                _log.warning("settings.not_reloaded", message=error.message)
            else:
                known = contents
                if is_news:
                    _log.info("settings.reloaded")
                    yield changed
        await asyncio.sleep(interval)


def _contents(files: list[str]) -> list[list[bytes] | None]:
    return [_content(Path(file)) for file in files]


def _content(file: Path) -> list[bytes] | None:
    try:
        return contents_of(file)
    except OSError:  # gone for now: what is wrong with it is said when it is read as a setting
        return None
