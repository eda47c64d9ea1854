"""SMTP and LMTP as bytes and values: RFC 5321, RFC 2033, RFC 3030. No input or output."""
