"""The backends that are installed, and their settings: entry points, of ours and of a derived image's alike."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from msgspec import Struct

from fulfillment_operator.backends.interface import MakeBackend
from fulfillment_runtime.fatal_errors import SettingsError
from fulfillment_runtime.settings import GROUP as SETTINGS
from fulfillment_runtime.settings import MissingSettingError, load_settings, mistakes_in

GROUP = "fulfillment.backends"
"""The entry points that name every backend: name → what makes it, a `MakeBackend` of `interface`."""


@cache  # each look reads what every installed package says of itself
def installed_backends() -> Mapping[str, EntryPoint]:
    """Return every backend by its name, without loading it, as they were when this was first asked.

    Raises:
        ValueError: two packages have a backend of the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        if entry.name in found and entry.value != found[entry.name].value:
            raise ValueError(
                f"two backends are named {entry.name}, {found[entry.name].value} and {entry.value}: uninstall one"
            )
        found[entry.name] = entry
    return found


def load_backend(name: str) -> MakeBackend:
    """Load what makes a backend.

    Raises:
        SettingsError: it cannot be loaded.
    """
    entry = installed_backends()[name]
    try:
        make: MakeBackend = entry.load()
    except Exception as error:  # whatever a derived image's own module does when it is imported
        raise SettingsError(f"the backend {name} cannot be loaded from {entry.value}: {error!r}") from error
    return make


def settings_of(backend: str) -> list[type[Struct]]:
    """Load the settings type of a backend; none when it has no settings."""
    return [entry.load() for entry in entry_points(group=SETTINGS, name=backend)]


def mistakes_in_backends(used: Collection[str], environ: Mapping[str, str]) -> list[str]:
    """Return all that is wrong with the settings of the installed backends: a message each.

    What is set must be right, whichever backend it is for. That something is missing matters only for those in use.

    Args:
        used: the names of the backends that an order may go to.
        environ: environment variables, such as `os.environ`.
    """
    found: list[str] = []
    for name in installed_backends():
        for settings in settings_of(name):
            if name in used:
                found += mistakes_in(settings, environ)
                continue
            try:
                load_settings(settings, environ)
            except MissingSettingError:
                continue
            except SettingsError as error:
                found.append(error.message)
    return found
