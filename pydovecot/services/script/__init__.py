"""Runs the administrator's scripts for other services."""
