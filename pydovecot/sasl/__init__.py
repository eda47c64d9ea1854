"""pydovecot.sasl."""
