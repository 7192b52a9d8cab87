"""Makes what Prometheus and Grafana are given, from one source. A tool for the work on this product, no part of it."""
