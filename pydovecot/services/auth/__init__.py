"""auth: who may log in, and what users are on this system."""
