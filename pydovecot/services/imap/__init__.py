"""The imap service: one logged-in user, one connection at a time."""
