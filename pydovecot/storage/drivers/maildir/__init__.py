"""Maildir and Maildir++, byte-compatible with Dovecot in both directions."""
