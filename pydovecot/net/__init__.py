"""pydovecot.net."""
