"""Prompt distillation of a character: from plays to a student that needs no prompt."""
