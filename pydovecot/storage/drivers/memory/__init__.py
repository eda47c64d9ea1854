"""Mail in this process's memory: the reference of the contract suite, and the store of protocol tests."""
