"""Stripe's API: the client, what its failures mean, and the settings of whoever calls it."""
