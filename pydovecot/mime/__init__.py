"""Message parsing: headers, parts, addresses, dates, charsets, ENVELOPE, BODYSTRUCTURE."""
