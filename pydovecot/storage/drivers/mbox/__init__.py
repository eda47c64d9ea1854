"""Mbox files, byte-compatible with Dovecot in both directions."""
