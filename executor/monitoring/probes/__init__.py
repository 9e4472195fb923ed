"""Probes: what a monitor looks at."""
