"""POP3 after the login (RFC 1939) as bytes in, commands out, and answers as bytes. No sockets, no mail."""
