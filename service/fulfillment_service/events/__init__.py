"""Event → spec: what an event of Stripe's holds, and what it changes. Pure."""
