"""Pydovecot beside Dovecot: the same configuration, the same mail, wall and CPU seconds for the same work."""
