"""Mail storage: the contract is api.py, drivers implement it."""
