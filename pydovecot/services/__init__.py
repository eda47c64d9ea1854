"""pydovecot.services."""
