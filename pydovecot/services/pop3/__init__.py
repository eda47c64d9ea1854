"""The pop3 service: one user's INBOX over POP3."""
