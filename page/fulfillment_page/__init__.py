"""The order page: shows a buyer how their order stands, and makes sure that it exists."""
