"""Training classical models on features of recordings."""
