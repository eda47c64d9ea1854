"""passdb drivers, one a file."""
