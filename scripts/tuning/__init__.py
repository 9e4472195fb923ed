"""Hyperparameter search under one storage budget: trials resume from their own checkpoint, each ends with a report."""
