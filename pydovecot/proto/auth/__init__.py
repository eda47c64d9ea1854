"""pydovecot.proto.auth."""
