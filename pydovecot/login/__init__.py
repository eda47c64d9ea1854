"""Shared by the *-login services and the mail workers they hand clients to."""
