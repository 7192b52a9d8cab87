"""The backend that posts each order to an HTTP endpoint."""
