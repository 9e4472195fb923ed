"""`mcp`: the plan as tools over stdin and stdout, for any agent that speaks the Model Context Protocol."""

from __future__ import annotations

import gc
import os
import sys

from executor.errors import UsageError
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from executor.cli.options import Option

SPEAKS = "do-tasks mcp speaks to a program on stdin and stdout, not to a person; an agent starts it. Ctrl-C ends it."


OPTIONS: tuple[Option, ...] = ()


def run(args: Namespace) -> Verdict:
    """Answer until whoever started us closes our stdin; BrokenPipeError when nobody reads the answers any more."""
    try:
        from executor.cli.mcp.server import serve
    except ImportError as error:
        raise UsageError(f"do-tasks mcp needs the MCP SDK ({error}); install it: pip install 'mcp>=2'") from error
    if sys.stdin.isatty():
        print(SPEAKS, file=sys.stderr)
    gc.enable()
    has_left = False
    try:
        serve(os.path.abspath(args.project))
    except* BrokenPipeError:
        has_left = True
    if has_left:
        raise BrokenPipeError
    return Verdict.PASSED
