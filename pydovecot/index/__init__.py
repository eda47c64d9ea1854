"""The index and cache: one SQLite database for each mail location, which can be deleted at any time."""
