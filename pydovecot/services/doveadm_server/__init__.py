"""The doveadm service."""
