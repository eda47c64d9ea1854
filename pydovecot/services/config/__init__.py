"""The config service: parses dovecot.conf and tells other processes their settings."""
