"""`notify`: the recipients of alerts and ends, and whether they are reachable; --test sends each a notice."""

from __future__ import annotations

import os

from executor.cli.options import JSON, flag, option
from executor.cli.output.screen import print_json
from executor.errors import UsageError
from executor.monitoring.notices import notify, notify_checks
from executor.store import project
from executor.store.known_secrets import masker_of
from executor.system import process
from executor.system.interrupts import Interrupts
from executor.system.outcome import Verdict
from executor.system.process_loop import ProcessLoop
from executor.system.quantities import duration_argument
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import clean_control

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from executor.plan.plan import Plan
    from executor.system.process import Command, ProcessResult

MOST = 1000  # characters of the output of an entry
KIND = "test"
MESSAGE = "a test notice of do-tasks notify --test: nothing has happened"


class Delivery(Record):
    """The result of one entry; `text` is its masked output or the reason of a failure."""

    to: str
    ok: bool
    text: str
    duration_s: float = 0.0


OPTIONS = (
    flag("--test", "send one test notice through each entry"),
    option(
        "--timeout",
        type=duration_argument,
        default=notify.LIMIT_S,
        metavar="TIME",
        help="for each entry (default 30 s)",
    ),
    JSON,
)


def run(args: Namespace) -> Verdict:
    """Print one line for each entry; return FAILED when one cannot deliver."""
    here = project.find_for(args.plan, args.project)
    os.chdir(here.root)
    plan, _ = project.load(here)
    if not plan.settings.notify:
        raise UsageError('settings.notify has no entry; add one, such as notify: ["env:SLACK_URL"]')
    mask = masker_of(plan, here.root, os.environ).mask
    found = _sent(plan, here.root, mask, limit_s=args.timeout) if args.test else _checked(plan, here.root)
    _show(found, as_json=args.json)
    return Verdict.PASSED if all(one.ok for one in found) else Verdict.FAILED


def _show(found: list[Delivery], *, as_json: bool) -> None:
    if as_json:
        rows = [{"to": one.to, "ok": one.ok, "said": one.text, "duration_s": one.duration_s} for one in found]
        print_json({"v": 1, "notifiers": rows})
        return
    for one in found:
        took = f" ({one.duration_s:.1f} s)" if one.duration_s else ""
        print(f"{'✓' if one.ok else '✗'} {clean_control(one.to)}: {one.text}{took}")


def _checked(plan: Plan, root: str) -> list[Delivery]:
    ready = "ready; to try it: do-tasks notify --test"
    faults = [(one, notify_checks.trouble(one, root=root, environ=os.environ)) for one in plan.settings.notify]
    return [Delivery(notify.label(one), not fault, fault or ready) for one, fault in faults]


def _sent(plan: Plan, root: str, mask: Callable[[str], str], *, limit_s: float) -> list[Delivery]:
    """Send to all entries at once, each within its limit."""
    asked = [one.replace(on=(KIND,)) for one in plan.settings.notify]
    notice = notify.Notice(KIND, mask(f"{os.path.basename(root)}: {MESSAGE}"), f"task_0_{os.urandom(4).hex()}", 0)
    commands = notify.commands(asked, notice, environ=os.environ, limit_s=limit_s)
    named = [one.replace(name=f"notify.{at}") for at, one in enumerate(commands)]
    ended = _run(named)
    return [_delivery(to.name, ended[one.name], mask) for to, one in zip(commands, named, strict=True)]


def _run(commands: list[Command]) -> dict[str, ProcessResult]:
    interrupts = Interrupts()
    interrupts.listen()
    watch = ProcessLoop(interrupts)
    ended: dict[str, ProcessResult] = {}
    for command in commands:
        try:
            watch.add(process.start(command))
        except process.CannotStartError as error:
            ended[command.name] = process.ProcessResult(name=command.name, verdict=Verdict.FAILED, reason=str(error))
    while watch.running:
        ended.update({one.name: one for one in watch.turn()})
    return ended


def _delivery(to: str, ended: ProcessResult, mask: Callable[[str], str]) -> Delivery:
    output = " ".join(mask(clean_control(ended.output.decode("utf-8", "replace"))).split())[-MOST:]
    ok = ended.verdict == Verdict.PASSED
    how = ended.reason or ("" if ok else f"exit {ended.exit_code}")
    text = ": ".join(filter(None, (how, output))) or "it exited 0"
    return Delivery(to, ok, text, ended.duration_s)
