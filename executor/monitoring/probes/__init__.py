"""Probes: the things that a monitor can look at."""
