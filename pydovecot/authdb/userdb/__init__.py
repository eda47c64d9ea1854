"""userdb drivers, one a file."""
