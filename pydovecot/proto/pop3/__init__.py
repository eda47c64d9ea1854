"""pydovecot.proto.pop3."""
