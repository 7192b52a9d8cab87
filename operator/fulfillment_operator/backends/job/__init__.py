"""The backend that runs a Kubernetes Job for each order."""
