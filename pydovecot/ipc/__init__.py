"""pydovecot.ipc."""
