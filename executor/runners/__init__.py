"""Runners: who does MAIN."""
