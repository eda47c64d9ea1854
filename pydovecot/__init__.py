"""pydovecot: a mail server that takes Dovecot's place."""

__version__ = "0.1.0"
