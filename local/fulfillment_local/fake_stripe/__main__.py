"""`python -m fulfillment_local.fake_stripe`: the stand-in as a process of its own, such as a pod."""

import asyncio

import click

from fulfillment_local.fake_stripe.api import LIVE_KEY, POWERLESS_KEY, TEST_KEY, ApiKeys
from fulfillment_local.fake_stripe.rate_limits import RateLimits
from fulfillment_local.fake_stripe.server import stripe_server
from fulfillment_local.fake_stripe.world import new_world
from fulfillment_local.signals import told_to_end


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", default=4243, help="The port to listen on; 0 takes a free one.")
@click.option("--key", "keys", multiple=True, default=(TEST_KEY, LIVE_KEY), help="An API key that is given out.")
@click.option("--seed", type=int, help="Makes the same ids each time.")
@click.option("--rate-limits/--no-rate-limits", default=True, help="Whether Stripe's own rate limits are enforced.")
def command(host: str, port: int, keys: tuple[str, ...], seed: int | None, *, rate_limits: bool) -> None:
    """Serve a stand-in for Stripe's API."""
    asyncio.run(_serve(host, port, ApiKeys(frozenset(keys), frozenset({POWERLESS_KEY})), seed, rate_limits))


async def _serve(host: str, port: int, keys: ApiKeys, seed: int | None, rate_limits: bool) -> None:  # noqa: FBT001 - as given
    limits = RateLimits() if rate_limits else None
    async with stripe_server(new_world(seed=seed), keys=keys, host=host, port=port, limits=limits) as server:
        click.echo(f"The stand-in for Stripe's API is at {server.url}")
        await told_to_end()


if __name__ == "__main__":
    command()
