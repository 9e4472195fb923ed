"""The command line: commands, their output, the MCP server."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn


def entry() -> NoReturn:
    """Run `do-tasks` as a program: the console script's way in."""
    from executor.cli.main import entry as run

    run()
