"""The Checkout Session: what it is to this product, and how Stripe's API tells of it."""
