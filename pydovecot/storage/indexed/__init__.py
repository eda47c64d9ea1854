"""Views over the index: what every driver that keeps its state in index/ shares."""
