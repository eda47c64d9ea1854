"""pydovecot.proto.imap."""
