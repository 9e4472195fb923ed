"""The plays, the character in them, and figures of both."""
