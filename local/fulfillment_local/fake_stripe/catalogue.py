"""A small shop: its products, and the people who buy there."""

import itertools
import random

from fulfillment_local.fake_stripe.model import Buyer, Product

_GARMENTS = {"Cotton T-shirt": 2400, "Linen shirt": 5900, "Merino jumper": 8900, "Rain jacket": 12900}
_COLOURS = ("navy", "white", "charcoal", "sage", "rust", "sand", "sky blue", "plum")
_SIZES = ("XS", "S", "M", "L", "XL", "XXL")

PRODUCTS = (
    Product("Wool beanie, charcoal", 1800),
    Product("Canvas tote bag", 1500),
    Product("Enamel mug, 350 ml", 1200),
    Product("Leather notebook, A5", 2900),
    Product("Oak serving board", 4500),
    Product("Beeswax candle, set of 3", 1600),
    Product("Ground coffee, 250 g", 1350),
    Product("Green tea, loose, 100 g", 1100),
    Product("Stoneware bowl, sand", 2200),
    Product("Linen apron, rust", 3900),
    *(
        Product(f"{garment}, {colour}, {size}", unit_amount)
        for (garment, unit_amount), colour, size in itertools.product(_GARMENTS.items(), _COLOURS, _SIZES)
    ),
)

BUYERS = (
    Buyer(
        "Jenny Rosen",
        "jenny.rosen@example.com",
        "+15035550142",
        "27 Fredrick Ave",
        "Brothers",
        "97712",
        "US",
        "OR",
    ),
    Buyer("Amara Okafor", "amara.okafor@example.com", "+442079460018", "14 Larch Road", "London", "SE8 5AA", "GB"),
    Buyer("Lena Vogt", "lena.vogt@example.com", "+4930230110", "Kastanienallee 8", "Berlin", "10435", "DE"),
    Buyer(
        "Kenji Sato",
        "kenji.sato@example.com",
        "+81355550117",
        "2-4-1 Yanaka",
        "Taito-ku",
        "110-0001",
        "JP",
        "Tokyo",
    ),
    Buyer(
        "Sofia Marques",
        "sofia.marques@example.com",
        "+351215550133",
        "Rua das Flores 61",
        "Lisboa",
        "1200-193",
        "PT",
    ),
)

SUBSCRIPTION = Product("Coffee club, monthly", 2600)


def choose_products(chance: random.Random, count: int) -> list[Product]:
    """Take so many products: each different while the shop has more, then from the start again."""
    chosen = chance.sample(PRODUCTS, min(count, len(PRODUCTS)))
    return list(itertools.islice(itertools.cycle(chosen), count))
