"""pydovecot.index."""
