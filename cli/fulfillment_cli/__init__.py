"""`kubectl fulfillment`: what a person looks at, and asks for. Writes annotations and Events, and nothing else."""
