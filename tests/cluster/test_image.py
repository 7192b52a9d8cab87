"""The image, as its containers show it."""

import json
from collections.abc import Callable

import pytest

from support.live_cluster import RELEASE, LiveCluster

pytestmark = pytest.mark.usefixtures("shop")

SMALL = 130.0  # 12 of them are the locales of Babel
"""Megabytes that an image may have, compressed and with its base."""

_MEASURE = """
import os, tarfile

class Counter:
    written = 0
    def write(self, data):
        self.written += len(data)
        return len(data)

def readable(item):
    found = os.path.join("/", item.name)
    return item if item.issym() or os.access(found, os.R_OK) else None

counter = Counter()
apart = {"proc", "sys", "dev", "run", "etc/checkout-fulfillment"}
with tarfile.open(fileobj=counter, mode="w|gz", compresslevel=6) as layer:
    for name in sorted(set(os.listdir("/")) - apart):
        layer.add(f"/{name}", name, filter=lambda item: None if item.name in apart else readable(item))
print(counter.written)
"""
"""Packs the container's file system as one layer of an image: what a registry would send, in bytes."""

_TRY_THE_CONTAINER = """
import importlib.util, json, os, pathlib

def written(folder):
    try:
        (pathlib.Path(folder) / "tried").touch()
    except OSError as error:
        return os.strerror(error.errno)
    return "written"

code = [path for path in pathlib.Path("/opt/fulfillment/lib").rglob("*.py") if "/fulfillment_" in str(path)]
not_compiled = [str(path) for path in code if not os.path.exists(importlib.util.cache_from_source(path))]
print(json.dumps([os.getuid(), written("/"), written("/tmp"), len(code) > 60, not_compiled]))
"""


async def test_the_containers_are_as_the_image_says(cluster: LiveCluster) -> None:
    """Nobody is root, nothing can be written, and all of the code was compiled beforehand."""
    expected = [65532, "Read-only file system", "Read-only file system", True, []]
    for component in ("webhook", "operator", "page"):
        said = await cluster.kubectl("exec", f"deploy/{RELEASE}-{component}", "--", "python", "-c", _TRY_THE_CONTAINER)
        assert expected == json.loads(said)


async def test_the_image_is_small(cluster: LiveCluster, figure: Callable[[str, str], None]) -> None:
    """Compressed, and with its base: what each node has to pull."""
    said = await cluster.kubectl("exec", f"deploy/{RELEASE}-operator", "--", "python", "-c", _MEASURE)
    megabytes = int(said) / 1e6
    figure("the image", f"{megabytes:.1f} MB, compressed and with its base")
    assert 20 < megabytes < SMALL
