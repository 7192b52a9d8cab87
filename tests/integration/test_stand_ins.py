"""The stand-ins that run as pods: what they can be asked, and told."""

from datetime import UTC, datetime
from email.message import EmailMessage

import aiohttp
import aiosmtplib
from standardwebhooks import Webhook

from fulfillment_local.mail_server import mail_server
from fulfillment_local.shop_endpoint import shop_endpoint

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


async def post(
    http: aiohttp.ClientSession, url: str, key: str, secret: str = SECRET, body: str = '{"id": "order"}'
) -> int:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": key,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(key, now, body),
    }
    async with http.post(f"{url}/orders", data=body, headers=headers) as response:
        return response.status


async def orders(http: aiohttp.ClientSession, url: str) -> dict[str, int]:
    async with http.get(f"{url}/orders") as response:
        told: dict[str, int] = await response.json()
        return told


async def test_the_shops_endpoint_counts_how_often_each_order_came() -> None:
    """By its idempotency key; a post that another secret signed counts for nothing."""
    async with shop_endpoint(SECRET) as url, aiohttp.ClientSession() as http:
        answers = [await post(http, url, key) for key in ("cs-a", "cs-a", "cs-b")]
        forged = await post(http, url, "cs-c", secret="whsec_" + "b" * 32)
        assert (answers, forged) == ([200, 200, 200], 401)
        assert await orders(http, url) == {"cs-a": 2, "cs-b": 1}
        await http.delete(f"{url}/orders")
        assert await orders(http, url) == {}


async def test_the_shops_endpoint_fails_as_often_as_it_is_told() -> None:
    """A post that it failed was not taken; what it does not understand it refuses."""
    async with shop_endpoint(None) as url, aiohttp.ClientSession() as http:
        await http.put(f"{url}/trouble", json={"status": 503, "times": 2})
        assert [await post(http, url, "cs-a") for _ in range(3)] == [503, 503, 200]
        assert await orders(http, url) == {"cs-a": 1}
        async with http.put(f"{url}/trouble", json={"status": "often"}) as response:
            assert response.status == 400


async def test_the_shops_endpoint_takes_some_orders_for_later() -> None:
    """With 202, when their metadata says so; what is no JSON it refuses, and does not count."""
    later = '{"data": {"session": {"id": "cs_test_1", "metadata": {"later": "yes"}}}}'
    async with shop_endpoint(SECRET) as url, aiohttp.ClientSession() as http:
        assert [await post(http, url, "cs-a", body=body) for body in (later, "{}", "order")] == [202, 200, 400]
        assert await orders(http, url) == {"cs-a": 2}


async def test_the_mail_catcher_tells_what_it_caught() -> None:
    """Over HTTP, until it is told to forget."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "orders@shop.example", "jenny@example.com", "Your order"
    mail.set_content("Hello\n")
    async with mail_server(host="127.0.0.1") as server, aiohttp.ClientSession(server.url) as http:
        await aiosmtplib.send(mail, hostname="127.0.0.1", port=server.mailbox.port)
        async with http.get("/mails") as response:
            (caught,) = await response.json()
        assert (caught["recipients"], caught["subject"]) == (["jenny@example.com"], "Your order")
        await http.delete("/mails")
        async with http.get("/mails") as response:
            assert await response.json() == []
