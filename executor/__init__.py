"""do-tasks: run a plan, tick a box only for what this process saw."""

__version__ = "0.2.0"
