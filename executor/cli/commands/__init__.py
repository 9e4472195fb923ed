"""Verbs: what each subcommand does."""
