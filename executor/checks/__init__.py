"""Built-in checks: their kinds, the worker that answers them, what counts as evidence."""
