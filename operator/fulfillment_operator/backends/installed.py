"""The backends that are installed: entry points of one group, ours and those of a derived image alike."""

from importlib.metadata import EntryPoint, entry_points

GROUP = "fulfillment.backends"
"""The entry points that name every backend: name → what makes it, a `MakeBackend` of `interface`."""


def installed_backends() -> dict[str, EntryPoint]:
    """Return every backend by its name, without loading it.

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
