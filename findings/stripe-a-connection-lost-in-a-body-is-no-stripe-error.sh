#!/usr/bin/env bash
# stripe 16.1.0 (Python), asynchronous with aiohttp 3.14.5: a connection that is lost in the midst of an answer's body
# raises aiohttp's own error, and not the library's.
#
# The library retries lost connections, and raises APIConnectionError, a StripeError, for them. Its aiohttp client reads
# the body after what turns errors into its own: a connection that is lost before the first byte of the answer is
# retried, and ends as APIConnectionError; one that is lost after the head is not, and comes out as ClientPayloadError.
#
# Seen:
#   lost before the head: APIConnectionError, is a StripeError: True, retried: True
#   lost in the body: ClientPayloadError, is a StripeError: False, retried: False
# Whoever catches StripeError around each call has not caught this one: it ends the task.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check stripe==16.1.0 aiohttp==3.14.5
cat > "$work/finding.py" <<'P'
import asyncio

import stripe

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
LOST = {"before the head": b"", "in the body": HEAD + b'{"id": '}


async def main():
    for place, sent in LOST.items():
        requests = 0

        async def answer(reader, writer, sent=sent):
            nonlocal requests
            await reader.readuntil(b"\r\n\r\n")
            requests += 1
            writer.write(sent)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            http = stripe.AIOHTTPClient(timeout=5)
            client = stripe.StripeClient(
                "sk_test_1", http_client=http, base_addresses={"api": f"http://127.0.0.1:{port}"}, max_network_retries=2
            )
            try:
                await client.v1.checkout.sessions.retrieve_async("cs_test_1")
            except Exception as error:
                is_own = isinstance(error, stripe.StripeError)
                print(f"lost {place}: {type(error).__name__}, is a StripeError: {is_own}, retried: {requests > 1}")
            await http.close_async()


asyncio.run(main())
P
"$work/venv/bin/python" "$work/finding.py" | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
lost before the head: APIConnectionError, is a StripeError: True, retried: True
lost in the body: ClientPayloadError, is a StripeError: False, retried: False
SEEN
