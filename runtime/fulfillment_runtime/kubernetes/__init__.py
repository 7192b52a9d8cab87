"""The Kubernetes API: one module a resource, and `errors`, which turns its failures into ours."""
