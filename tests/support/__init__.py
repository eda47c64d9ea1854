"""What the tests share: harnesses, transcript language, message generator, servers in temp directories."""
