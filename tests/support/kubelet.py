"""Mounts Secrets as the kubelet does."""

from collections.abc import Mapping
from pathlib import Path


class MountedVolume:
    """A Secret, or a projected volume: links to files in a folder that a link of its own points to.

    The kubelet writes a new folder, swaps that link, and then brings the links to the files in line (Kubernetes,
    AtomicWriter).
    """

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folder = folder
        self._versions = 0
        self.change(files)

    def change(self, files: Mapping[str, str]) -> None:
        self._versions += 1
        version = self.folder / f"..2026_11_02_09_00_00.{self._versions}"
        version.mkdir()
        for name, content in files.items():
            (version / name).write_text(content)
        new = self.folder / "..data_tmp"
        new.symlink_to(version.name)
        new.replace(self.folder / "..data")
        for name in files:
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(Path("..data") / name)
        for link in self.folder.iterdir():
            if not link.name.startswith("..") and link.name not in files:
                link.unlink()
