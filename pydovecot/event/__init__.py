"""pydovecot.event."""
