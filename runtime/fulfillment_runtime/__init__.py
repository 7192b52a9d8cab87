"""What all workloads stand on: settings, logs, the management port, and the Kubernetes API."""
