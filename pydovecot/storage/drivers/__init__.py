"""pydovecot.storage.drivers."""
