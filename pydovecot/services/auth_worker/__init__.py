"""auth-worker: lookups that may block."""
