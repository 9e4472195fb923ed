"""The supervisor's program under its old name."""

from executor.supervisor.main import entry

__all__ = ["entry"]
