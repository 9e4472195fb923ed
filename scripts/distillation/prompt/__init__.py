"""The teacher's prompt and its questions."""
