"""pydovecot.runtime."""
