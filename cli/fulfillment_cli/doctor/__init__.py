"""`kubectl fulfillment doctor`: looks at an installation from outside in, and says what is wrong and what to do."""
