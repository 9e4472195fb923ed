"""`python -m executor` is `do-tasks`."""

from executor.cli.main import entry

if __name__ == "__main__":
    entry()
