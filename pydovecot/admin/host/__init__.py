"""Commands about the server and its processes."""
