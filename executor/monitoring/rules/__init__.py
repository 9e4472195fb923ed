"""Rules: what a monitor judges of what it saw, pure functions."""
