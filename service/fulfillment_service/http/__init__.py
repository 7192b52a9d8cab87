"""The webhook's port: Stripe's events, and the callbacks of the http backend's endpoint."""
