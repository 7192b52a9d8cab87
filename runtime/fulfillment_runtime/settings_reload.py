"""Settings that stand in files are read again when the files change, as mounted Secrets do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar

import structlog

from fulfillment_runtime.fatal_errors import AccessDeniedError, SettingsError, UnavailableError
from fulfillment_runtime.settings import contents_of, is_file_of_setting

_log = structlog.get_logger(__name__)

_INTERVAL = 5.0  # seconds; the kubelet itself takes a minute or so
_TRIED_AGAIN_AFTER = 12  # looks: what was refused is tried again once a minute, or at once when the files change

_AUTHORITIES = "SSL_CERT_FILE"
"""No setting of ours: whom TLS trusts, which is read when a connection is wired anew."""

_Contents: TypeAlias = list[list[bytes] | None]

S = TypeVar("S")


async def settings_changes(
    load: Callable[[Mapping[str, str]], S],
    environ: Mapping[str, str],
    current: S,
    *,
    check: Callable[[S], Awaitable[None]] | None = None,
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
            AccessDeniedError, or UnavailableError. Whichever it is may pass by itself, so it is tried again and again.
            None: they are taken as they are.
        interval: seconds between two times that the files are read.
    """
    files = sorted(value for name, value in environ.items() if name == _AUTHORITIES or is_file_of_setting(name))
    known: _Contents | None = None
    refused: _Contents | None = None
    message, looks = "", 0
    while True:
        contents = _contents(files)
        if contents != known and (contents != refused or looks >= _TRIED_AGAIN_AFTER):
            looks = 0
            try:
                changed = load(environ)
            except SettingsError as error:
                known = contents
                _log.error("settings.not_reloaded", message=error.message)
            else:
                is_news = known is not None or changed != current
                failure = await _failure_of(check, changed) if is_news and check else None
                if failure is None:
                    known, refused, message = contents, None, ""
                    if is_news:
                        _log.info("settings.reloaded")
                        yield changed
                else:
                    refused = contents
                    if failure != message:
                        message = failure
                        _log.error("settings.not_reloaded", message=message)
        looks += 1
        await asyncio.sleep(interval)


async def _failure_of(check: Callable[[S], Awaitable[None]], settings: S) -> str | None:
    try:
        await check(settings)
    except (SettingsError, AccessDeniedError, UnavailableError) as error:
        return error.message
    return None


def _contents(files: list[str]) -> _Contents:
    return [_content(Path(file)) for file in files]


def _content(file: Path) -> list[bytes] | None:
    if not (file.is_dir() or file.is_file()):
        return None  # gone for now; or a pipe, which can be read once, and would block
    try:
        return contents_of(file)
    except OSError:  # gone for now: what is wrong with it is said when it is read as a setting
        return None
