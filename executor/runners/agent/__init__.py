"""A model in a loop with tools: a process of its own, started like any MAIN."""
