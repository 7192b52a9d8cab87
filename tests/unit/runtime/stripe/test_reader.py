"""What Stripe answers, over a real socket: decoded once, by us, and for the library's own methods by the library."""

import pytest
import stripe

from support.stripe_answer import asking


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'{"id": "cs_1", "amount_total": 100}', {"id": "cs_1", "amount_total": 100}),
        (b"null", None),
        (b'{"n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
        (b'{"n": 1e400}', {"n": float("inf")}),
    ],
)
async def test_whatever_is_json_is_an_answer(body: bytes, data: object) -> None:
    """An odd value is one order's affair, so it must not spoil the page that it stands on."""
    async with asking(body) as (reader, _):
        answer = await reader.get("/v1/checkout/sessions", {}, account=None)
    assert (answer.body, answer.data) == (body, data)


async def test_half_of_a_surrogate_pair_is_no_part_of_an_answer() -> None:
    """No status, mail or Job could hold it."""
    async with asking(rb'{"name": "Jenny \ud83d"}') as (reader, _):
        answer = await reader.get("/v1/checkout/sessions", {}, account=None)
    assert (answer.body, answer.data) == (rb'{"name": "Jenny \ufffd"}', {"name": "Jenny \ufffd"})


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b'{"id": "\xff"}', b'{"id": "\xed\xa0\x80"}'])
async def test_what_is_no_json_is_an_error_of_stripes(body: bytes) -> None:
    async with asking(body) as (reader, _):
        with pytest.raises(stripe.APIError):
            await reader.get("/v1/checkout/sessions", {}, account=None)


async def test_an_error_is_read_by_the_library() -> None:
    async with asking(b'{"error": {"code": "resource_missing", "message": "No such session"}}', 404) as (reader, _):
        with pytest.raises(stripe.InvalidRequestError) as raised:
            await reader.get("/v1/checkout/sessions/{id}", {}, account=None, object_id="cs_1")
    assert raised.value.code == "resource_missing"


async def test_the_librarys_own_methods_get_the_whole_answer() -> None:
    """Also after a reader asked by the same client."""
    async with asking(b'{"id": "cs_1", "object": "checkout.session"}') as (reader, client):
        await reader.get("/v1/checkout/sessions/{id}", {}, account=None, object_id="cs_1")
        assert (await client.v1.checkout.sessions.retrieve_async("cs_1")).id == "cs_1"
