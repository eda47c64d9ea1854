"""The pop3-login service: greets POP3 clients, authenticates them and gives them to the pop3 service."""
