"""Bash commands: parsed, judged, prepared for the start."""
