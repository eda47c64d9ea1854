"""Commands on users' mail."""
