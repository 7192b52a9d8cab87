"""The command `fulfillment`, and the subcommands that belong to no workload."""
