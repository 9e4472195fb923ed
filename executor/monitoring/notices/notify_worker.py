"""The program that sends one notice through apprise, in a process of its own that may be stopped.

`python -I notify_worker.py` with the URL in DO_TASKS_NOTIFY_URL, never in argv, which every user may read.
Exit 0 = sent, 1 = not sent, 3 = apprise is not installed. stdout has one line with the result, never the URL: the
output of apprise and its services is discarded. Imports nothing of the package.
"""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SENT, NOT_SENT, NOT_INSTALLED = 0, 1, 3
TYPES = {"alert": "warning", "died": "failure", "recovered": "success", "finished": "success"}


def main(environ: Mapping[str, str]) -> tuple[int, str]:
    """Send the notice of the environment; return the exit code and the one line to print."""
    url = environ.get("DO_TASKS_NOTIFY_URL", "").strip()
    if not url:
        name = environ.get("DO_TASKS_NOTIFY_FROM") or "DO_TASKS_NOTIFY_URL"
        return NOT_SENT, f"{name} is not set: export it before do-tasks starts"
    try:
        apprise = import_module("apprise")
    except ImportError:
        return NOT_INSTALLED, "apprise is not there; install it with: pip install 'do-tasks[notify]'"
    asset = apprise.AppriseAsset(app_id="do-tasks", app_desc="do-tasks", async_mode=False)
    services = apprise.Apprise(asset=asset)
    if not services.add(url):
        return NOT_SENT, "not sent: no URL that apprise knows; its form for each service: https://appriseit.com"
    return _sent(apprise, services, environ)


def _sent(apprise: Any, services: Any, environ: Mapping[str, str]) -> tuple[int, str]:
    notice = environ.get("DO_TASKS_NOTICE", "notice")
    with apprise.LogCapture(level=apprise.logging.WARNING) as warnings:
        sent = services.notify(
            body=environ.get("DO_TASKS_MESSAGE") or notice,
            title=f"do-tasks: {notice}",
            notify_type=TYPES.get(notice, "info"),
            body_format="text",
        )
        # Only the status code of an answer is reported: its text may quote the URL.
        code = re.search(r"\berror=([0-9]{3})\b", warnings.getvalue())
    if sent:
        return SENT, "sent"
    why = f"it answered {code[1]}" if code else "it did not answer, or is not reachable from here"
    return NOT_SENT, f"not sent: {why}; check the URL, the service and the network"


def entry() -> int:
    """Print the one line to the given stdout; all else that is printed is discarded."""
    stdout, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    environ = dict(os.environ)
    os.environ.pop("DO_TASKS_NOTIFY_URL", None)
    try:
        code, line = main(environ)
    except Exception as error:  # noqa: BLE001 - any error of a service is reported in one line without its text
        code, line = NOT_SENT, f"not sent: {type(error).__name__} in apprise; check the URL and the service"
    os.write(stdout, f"{line}\n".encode())
    return code


if __name__ == "__main__":
    sys.exit(entry())
