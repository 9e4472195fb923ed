"""`mcp`: serve the plan as tools of the Model Context Protocol on stdin and stdout."""

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

HINT = "do-tasks mcp serves a program on stdin and stdout; an agent starts it. To end it: Ctrl-C"

OPTIONS: tuple[Option, ...] = ()


def run(args: Namespace) -> Verdict:
    """Serve until stdin is closed; BrokenPipeError when the reader of stdout is gone."""
    try:
        from executor.cli.mcp.server import serve
    except ImportError as error:
        raise UsageError(f"do-tasks mcp needs the MCP SDK ({error}); install it: pip install 'mcp>=2'") from error
    if sys.stdin.isatty():
        print(HINT, file=sys.stderr)
    gc.enable()
    has_left = False
    try:
        serve(os.path.abspath(args.project), args.plan and os.path.abspath(args.plan))
    except* BrokenPipeError:
        has_left = True
    if has_left:
        raise BrokenPipeError
    return Verdict.PASSED
