"""What sits on top of the server and is loaded by the names in mail_plugins. See quota/DESIGN.md."""
