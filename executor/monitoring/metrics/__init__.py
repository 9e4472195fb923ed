"""Readers of the numbers that trainings write, one module a format."""
