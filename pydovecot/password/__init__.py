"""pydovecot.password."""
