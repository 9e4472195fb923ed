"""Figures of teacher and students, and the report of them."""
