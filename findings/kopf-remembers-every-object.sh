#!/usr/bin/env bash
# kopf 1.45.2: it remembers every object that it was ever told of, also when the only handlers are those of raw events.
#
# `kopf.on.event` is documented as the plain stream of a watch: no state, no diffs, no finalizers. Of each object kopf
# makes a ResourceMemory all the same (memo, error throttler, indexing, daemons), and keeps it until the object is
# deleted. It is some 830 bytes: of 20,000 orders that wait for weeks, 16 MB that no handler ever reads.
# `kopf.operator(memories=…)` takes memories of one's own, which may hand out a new one at each event (`ephemeral`).
#
# Seen: the bytes that stay of each of 5,000 objects after one event each, by kopf's own memories and by such ones:
#   kept: over 700, ephemeral: under 20
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kopf==1.45.2
cat > "$work/finding.py" <<'P'
import asyncio
import tracemalloc

from kopf._core.reactor.inventory import ResourceMemories

OBJECTS = 5_000
BODIES = [{"metadata": {"uid": f"uid-{number}"}} for number in range(OBJECTS)]


async def stays(**how):
    memories = ResourceMemories()
    await memories.recall({"metadata": {"uid": "first"}}, **how)
    tracemalloc.start()
    for body in BODIES:
        await memories.recall(body, noticed_by_listing=True, **how)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept / OBJECTS


async def main():
    kept, ephemeral = await stays(), await stays(ephemeral=True)
    print(f"kept: {kept:.0f} bytes an object, ephemeral: {ephemeral:.0f}")
    assert kept > 700 and ephemeral < 20


asyncio.run(main())
P
"$work/venv/bin/python" "$work/finding.py"
