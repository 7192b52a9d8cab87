"""Settings come from environment variables, each also readable from the file that `<NAME>_FILE` names.

A setting with several values may also name a folder, whose files together hold them.

A settings type is a frozen msgspec struct: a field's encoded name is its variable, its `Meta` bounds are
checked, and its description is part of the message when it is wrong.
"""

import difflib
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum, unique
from functools import cache
from importlib.metadata import entry_points
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import durationpy
import msgspec
from msgspec import Meta, Struct, field

from fulfillment_runtime.fatal_errors import SettingsError

GROUP = "fulfillment.settings"
"""The entry points that name every workload's settings type: a variable that none of them knows is a mistake."""

# Kubernetes adds these to every pod for each Service of the namespace ("Discovering services").
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$")
_FILE = "_FILE"
_PREFIXES = ("FULFILLMENT_", "STRIPE_")


class Secret(str):
    """A string that does not show itself in a log line, a message or a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Say that there is a secret, not which."""
        return "Secret(…)"


@unique
class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    """For people at a terminal, JSON lines elsewhere."""
    JSON = "json"
    CONSOLE = "console"


@unique
class LogLevel(StrEnum):
    """The least severe lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Port = Annotated[int, Meta(ge=0, le=65535)]


_STRIPE_RESENDS_FOR = timedelta(days=30)
_SHORTEST_RETENTION = _STRIPE_RESENDS_FOR + timedelta(days=1)


class WorkloadSettings(Struct, frozen=True, kw_only=True):
    """The settings of every workload."""

    namespace: Annotated[str, Meta(description="the namespace that holds the FulfillmentRequests")] = field(
        default="default", name="FULFILLMENT_NAMESPACE"
    )
    kubeconfig: Annotated[str, Meta(description="a kubeconfig file, to run outside of a pod")] | None = field(
        default=None, name="KUBECONFIG"
    )
    management_port: Annotated[Port, Meta(description="the port of /metrics, /healthz and /readyz")] = field(
        default=8081, name="FULFILLMENT_MANAGEMENT_PORT"
    )
    bind_address: (
        Annotated[str, Meta(description="the IP address that every port listens on, such as 127.0.0.1; unset: all")]
        | None
    ) = field(default=None, name="FULFILLMENT_BIND_ADDRESS")
    log_format: Annotated[LogFormat, Meta(description="auto, json or console")] = field(
        default=LogFormat.AUTO, name="FULFILLMENT_LOG_FORMAT"
    )
    log_level: Annotated[LogLevel, Meta(description="debug, info, warning or error")] = field(
        default=LogLevel.INFO, name="FULFILLMENT_LOG_LEVEL"
    )
    retention: Annotated[
        timedelta,
        Meta(
            description="how long finished orders are kept, such as 1080h; at least 744h, or 0s to keep them for ever"
        ),
    ] = field(default=timedelta(days=45), name="FULFILLMENT_RETENTION")

    def __post_init__(self) -> None:
        """Check what types alone do not say; a workload's own check begins with this one."""
        if self.bind_address is not None:
            try:
                ip_address(self.bind_address)
            except ValueError:
                raise ValueError("FULFILLMENT_BIND_ADDRESS must be an IP address, such as 127.0.0.1") from None
        if timedelta() != self.retention < _SHORTEST_RETENTION:
            raise ValueError(
                "FULFILLMENT_RETENTION must be at least 744h (31 days), or 0s to keep every order: Stripe can send "
                "an event again for 30 days, and one about a deleted order would fulfill it twice"
            )


class MissingSettingError(SettingsError):
    """A setting that is required is not set. A settings type raises it itself where the requirement is its own."""


S = TypeVar("S", bound=Struct)


def load_settings(settings: type[S], environ: Mapping[str, str]) -> S:
    """Read and check the settings.

    Args:
        settings: the struct type to fill.
        environ: environment variables, such as `os.environ`.

    Raises:
        SettingsError: naming the variable, what is wrong with it, and what it is for.
    """
    _reject_unknown(environ)
    hints = get_type_hints(settings, include_extras=True)
    values: dict[str, Any] = {}
    for each in msgspec.structs.fields(settings):
        values |= _value(each, hints[each.name], environ)
    try:
        return settings(**values)
    except ValueError as error:  # a struct's own check of how its settings go together
        raise SettingsError(str(error)) from error


def mistakes_in(settings: type[Struct], environ: Mapping[str, str]) -> list[str]:
    """Return all that is wrong with the settings, where `load_settings` tells the first: a message each.

    How the settings go together is checked when each of them alone is right.
    """
    found: list[str] = []
    hints = get_type_hints(settings, include_extras=True)
    for each in msgspec.structs.fields(settings):
        try:
            _value(each, hints[each.name], environ)
        except SettingsError as error:
            found.append(error.message)
    try:
        if not found:
            load_settings(settings, environ)
        _reject_unknown(environ)
    except SettingsError as error:
        found.append(error.message)
    return found


@cache  # each look reads what every installed package says of itself
def known_settings() -> Mapping[str, str]:
    """Return every workload's settings, as they were when this was first asked: variable → what it is for."""
    known: dict[str, str] = {}
    for entry in sorted(entry_points(group=GROUP)):
        settings = entry.load()
        hints = get_type_hints(settings, include_extras=True)
        known |= {each.encode_name: _description(hints[each.name]) for each in msgspec.structs.fields(settings)}
    return known


def is_file_of_setting(name: str) -> bool:
    """Tell whether a variable names the file of a setting, of whichever workload or backend.

    Others have such a name, too: `AWS_WEB_IDENTITY_TOKEN_FILE`.
    """
    return name.endswith(_FILE) and name.removesuffix(_FILE) in known_settings()


def _reject_unknown(environ: Mapping[str, str]) -> None:
    known = known_settings()
    for name in sorted(environ):
        setting = name.removesuffix(_FILE)
        if name.startswith(_PREFIXES) and setting not in known and not _SERVICE_LINK.search(name):
            close = difflib.get_close_matches(setting, known, n=1)
            hint = f": did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(known))}"
            raise SettingsError(f"{name} is no setting{hint}")


def _value(each: msgspec.structs.FieldInfo, hint: Any, environ: Mapping[str, str]) -> dict[str, Any]:  # noqa: ANN401 - any settings type
    """Read one setting; nothing when its default holds."""
    text = _read(each.encode_name, environ, several=_is_several(hint))
    if text is not None:
        return {each.name: _convert(each.encode_name, text, hint)}
    if each.required:
        raise MissingSettingError(f"{each.encode_name} is not set: {_description(hint)}")
    return {}


def _read(name: str, environ: Mapping[str, str], *, several: bool) -> str | None:
    text, path = environ.get(name), environ.get(f"{name}{_FILE}")
    if text is not None and path is not None:
        raise SettingsError(f"{name} and {name}_FILE are both set: set one of them")
    if path is not None:
        text = _read_file(f"{name}_FILE", Path(path), several=several)
    if text is not None and not text.strip():
        raise SettingsError(f"{name} is set but empty: give it a value, or unset it")
    return None if text is None else text.strip()


def _read_file(name: str, path: Path, *, several: bool) -> str:
    if path.is_dir() and not several:
        raise SettingsError(f"{name} names {str(path)!r}, which is a folder: name a file in it")
    try:
        contents = contents_of(path)
        text = "\n".join(content.decode() for content in contents)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name} names {str(path)!r}, which cannot be read: {error}") from error
    if not contents:
        raise SettingsError(
            f"{name} names the folder {str(path)!r}, which holds no file: put one there, or name a file"
        )
    return text


def contents_of(path: Path) -> list[bytes]:
    """Return what a file holds; of a folder, what each of its visible files holds, in the order of their names.

    The kubelet keeps hidden folders beside what it mounts (`..data`): hidden names are passed over.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    if not path.is_dir():
        return [path.read_bytes()]
    files = (file for file in sorted(path.iterdir()) if not file.name.startswith(".") and file.is_file())
    return [file.read_bytes() for file in files]


def _convert(name: str, text: str, hint: Any) -> Any:  # noqa: ANN401 - any settings type
    inner = _without_none(hint)
    try:
        if _plain(inner) is timedelta:
            value: Any = durationpy.from_str(text)
        elif _is_several(hint):
            value = [part for part in re.split(r"[,\s]+", text) if part]
        else:
            value = text
        return msgspec.convert(value, inner, strict=False, dec_hook=lambda kind, raw: kind(raw))
    except (msgspec.ValidationError, durationpy.DurationError) as error:
        shown = "" if Secret in (_plain(inner), *get_args(_plain(inner))) else f" {text!r} is wrong:"
        raise SettingsError(f"{name}:{shown} {error} ({_description(hint)})") from error


def _is_several(hint: Any) -> bool:  # noqa: ANN401 - any settings type
    return get_origin(_plain(_without_none(hint))) is tuple


def _without_none(hint: Any) -> Any:  # noqa: ANN401 - any settings type
    alternatives = [each for each in get_args(hint) if each is not type(None)]
    return alternatives[0] if type(None) in get_args(hint) else hint


def _plain(hint: Any) -> Any:  # noqa: ANN401 - any settings type
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _description(hint: Any) -> str:  # noqa: ANN401 - any settings type
    for each in getattr(_without_none(hint), "__metadata__", ()):
        if isinstance(each, Meta) and each.description:
            return each.description
    raise TypeError(f"the setting of type {hint} has no description")
