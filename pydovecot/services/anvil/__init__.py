"""The anvil service."""
