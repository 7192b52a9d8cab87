#!/usr/bin/env bash
# kopf 1.45.2: what is deleted while its watch is broken is never told of.
#
# A watch that ends with "410 Gone" is followed by a new list. client-go's informer compares that list with what it has
# and tells a handler of each object that is missing (DeletedFinalStateUnknown). kopf hands on what the list has, as events
# without a type, and nothing else: no handler, whether of events or of deletions, hears of the object that went meanwhile.
#
# Seen: after `first` and `second` were listed, and `second` is missing from the list after 410 Gone, the handler of events
# has been told
#   None first, None second, None first
# and of no DELETED. A controller that remembers objects must compare lists by itself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check kopf==1.45.2 aiohttp==3.14.5
cat > "$work/finding.py" <<'P'
import asyncio
import json

import kopf
from aiohttp import web

GROUP, VERSION, PLURAL = "shop.example", "v1", "orders"
lists, told = [], []
listed_again = asyncio.Event()


def order(name):
    metadata = {"name": name, "namespace": "default", "uid": name, "resourceVersion": "1"}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Order", "metadata": metadata}


async def orders(request):
    if request.query.get("watch") == "true":
        answer = web.StreamResponse()
        await answer.prepare(request)
        if len(lists) == 1:  # the first watch: what it would have told was compacted away meanwhile
            gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
            await answer.write(json.dumps(gone).encode() + b"\n")
        else:
            listed_again.set()
            await asyncio.sleep(60)
        return answer
    lists.append(request.path)
    items = [order("first"), order("second")] if len(lists) == 1 else [order("first")]
    return web.json_response({"kind": "OrderList", "metadata": {"resourceVersion": "1"}, "items": items})


def kind(plural, name, *, namespaced):
    return {"name": plural, "singularName": name.lower(), "namespaced": namespaced, "kind": name, "verbs": ["list", "watch"]}


async def discovery(request):
    group_version = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
    return web.json_response(
        {
            "/api": {"versions": ["v1"]},
            "/apis": {"groups": [{"name": GROUP, "versions": [group_version], "preferredVersion": group_version}]},
            "/api/v1": {"groupVersion": "v1", "resources": [kind("namespaces", "Namespace", namespaced=False)]},
            f"/apis/{GROUP}/{VERSION}": {
                "groupVersion": f"{GROUP}/{VERSION}",
                "resources": [kind(PLURAL, "Order", namespaced=True)],
            },
        }[request.path]
    )


async def main():
    app = web.Application()
    app.router.add_get(f"/apis/{GROUP}/{VERSION}/namespaces/default/{PLURAL}", orders)
    app.router.add_get("/{path:.*}", discovery)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False

    @kopf.on.login(registry=registry)
    def login(**_):
        return kopf.ConnectionInfo(server=f"http://127.0.0.1:{runner.addresses[0][1]}", insecure=True)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    def on_event(event, **_):
        told.append(f"{event['type']} {event['object']['metadata']['name']}")

    stop = asyncio.Event()
    operator = asyncio.create_task(
        kopf.operator(
            registry=registry, settings=settings, namespaces=["default"], standalone=True, identity="one", stop_flag=stop
        )
    )
    async with asyncio.timeout(30):
        await listed_again.wait()
        while len(told) < 3:
            await asyncio.sleep(0.05)
    await asyncio.sleep(2)  # for what may come yet: of a deletion there is no sign to wait for
    stop.set()
    await operator
    await runner.cleanup()
    print(", ".join(told))


asyncio.run(main())
P
seen=$("$work/venv/bin/python" "$work/finding.py" 2> "$work/log" || { cat "$work/log" >&2; exit 1; })
echo "$seen"
sorted() { tr ',' '\n' <<< "$1" | sed 's/^ //' | sort | paste -sd, -; }
[ "$(sorted "$seen")" = "$(sorted 'None first, None second, None first')" ] || { echo "kopf behaves otherwise now" >&2; exit 1; }
