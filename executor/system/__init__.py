"""Processes, files, locks, secrets and texts: what all other packages stand on."""
