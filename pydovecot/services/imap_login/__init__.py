"""The imap-login service: greets IMAP clients, authenticates them and gives them to the imap service."""
