"""The webhook service: makes FulfillmentRequests of Stripe's events. The only writer of spec."""
