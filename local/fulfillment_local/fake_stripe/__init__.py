"""A stateful stand-in for Stripe: Sessions that people pay, events that tell of it, and Stripe's API around them."""
