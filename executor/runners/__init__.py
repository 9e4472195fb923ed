"""Runners: MAIN by a command, in chunks, as a background job, by an agent."""
