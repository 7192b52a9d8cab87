#!/usr/bin/env bash
# kopf 1.45.2: a resource that is not there when kopf starts is never watched, though it is installed a second later.
#
# With `settings.scanning.disabled`, as an operator of one namespace has it that may not read CustomResourceDefinitions,
# kopf asks once which resources there are. What is missing then is one warning at its logger; `kopf.operator` neither
# fails nor ends, its ready flag is set, and its liveness is fine. An operator that restarts its watch because the
# definition was deleted must make sure that the resource is back before it starts kopf, or it is deaf for good.
#
# Seen: the resource is there from the second discovery on. In ten seconds kopf has asked for the discovery of the group's
# version once, and for a list or a watch of the resource never.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kopf==1.45.2 aiohttp==3.14.5
cat > "$work/finding.py" <<'P'
import asyncio
from collections import Counter

import kopf
from aiohttp import web

GROUP, VERSION, PLURAL = "shop.example", "v1", "orders"
asked = Counter()


async def answer(request):
    asked[request.path] += 1
    group_version = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
    order = {"name": PLURAL, "singularName": "order", "namespaced": True, "kind": "Order", "verbs": ["list", "watch"]}
    is_there = asked[f"/apis/{GROUP}/{VERSION}"] > 1
    answers = {
        "/api": {"versions": ["v1"]},
        "/apis": {"groups": [{"name": GROUP, "versions": [group_version], "preferredVersion": group_version}]},
        "/api/v1": {"groupVersion": "v1", "resources": []},
        f"/apis/{GROUP}/{VERSION}": {"groupVersion": f"{GROUP}/{VERSION}", "resources": [order] if is_there else []},
    }
    return web.json_response(answers.get(request.path, {"kind": "OrderList", "metadata": {}, "items": []}))


async def main():
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    registry, settings, ready = kopf.OperatorRegistry(), kopf.OperatorSettings(), asyncio.Event()
    settings.scanning.disabled, settings.posting.enabled = True, False

    @kopf.on.login(registry=registry)
    def login(**_):
        return kopf.ConnectionInfo(server=url)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    def on_event(**_):
        pass

    operator = asyncio.create_task(
        kopf.operator(registry=registry, settings=settings, namespaces=["default"], standalone=True, ready_flag=ready)
    )
    done, _ = await asyncio.wait([operator], timeout=10)
    lists = sum(count for path, count in asked.items() if path.endswith(PLURAL))
    print(f"ended: {bool(done)}; ready: {ready.is_set()}; discoveries: {asked[f'/apis/{GROUP}/{VERSION}']}; lists: {lists}")
    assert not done and ready.is_set() and lists == 0, asked
    operator.cancel()
    await asyncio.gather(operator, return_exceptions=True)
    await runner.cleanup()


asyncio.run(main())
P
"$work/venv/bin/python" "$work/finding.py"
