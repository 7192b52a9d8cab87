"""Mail to customers: what it says, and how it is sent."""
