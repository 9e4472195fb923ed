"""Monitors of a background job: what they read, which rules judge it, when they are due."""
