"""pydovecot.settings."""
