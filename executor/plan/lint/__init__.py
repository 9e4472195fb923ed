"""Warnings of validate: what a plan says that cannot work."""
