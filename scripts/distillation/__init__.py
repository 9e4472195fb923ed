"""A character, distilled: from plays to a student that needs no prompt."""
