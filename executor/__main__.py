"""`python -m executor` is `do-tasks`."""

from executor.cli import entry

if __name__ == "__main__":
    entry()
