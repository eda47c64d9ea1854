"""pydovecot.storage.list."""
