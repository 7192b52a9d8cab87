"""The contract between the service, the operator and their users: the FulfillmentRequest resource. No I/O here."""
