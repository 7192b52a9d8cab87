"""What a `<NAME>_FILE` names: a file, or a folder of them, such as several Secrets projected side by side."""

from pathlib import Path


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
