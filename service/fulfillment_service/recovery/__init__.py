"""`fulfillment recover`: lists the events that Stripe could not deliver, and handles each as the webhook does."""
