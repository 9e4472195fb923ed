"""Tracking of a training: one small interface, several trackers at once, none of which can fail or slow a training."""
