"""The operator: brings every FulfillmentRequest to fulfilled or failed. The only writer of status."""
