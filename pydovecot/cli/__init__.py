"""pydovecot.cli."""
