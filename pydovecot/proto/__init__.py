"""pydovecot.proto."""
