"""pydovecot.base."""
