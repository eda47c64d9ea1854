"""Fixtures that every test may use."""

from tests.support.fixtures import servers, start_dovecot

__all__ = ["servers", "start_dovecot"]
