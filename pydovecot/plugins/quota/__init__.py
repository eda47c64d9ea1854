"""Limits on how much mail a user has. DESIGN.md in this folder says how."""
