"""Commands that send a notice of an alert, a recovery or an end: one for each notifier that asks for it."""

from __future__ import annotations

import sys

from executor.system import installation
from executor.system.process import Command
from executor.system.records import TYPE_CHECKING, Record
from executor.system.secret_values import NamedSecrets, without_secrets
from executor.system.shell.bash_command import SHELL
from executor.system.text import clean_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from executor.monitoring.model import Notifier

LIMIT_S = 30.0
MESSAGE_CHARS = 4000
PROXIES = tuple(f(f"{way}_proxy") for way in ("http", "https", "all", "no") for f in (str.lower, str.upper))
WORKER = installation.package_file("monitoring", "notices", "notify_worker.py")


class Notice(Record):
    """A notice: `kind` is alert, recovered, finished or died; `key` is that of the alert, if any."""

    kind: str
    message: str
    task_id: str
    step: int | str
    key: str = ""


def commands(
    notifiers: Iterable[Notifier],
    notice: Notice,
    *,
    environ: Mapping[str, str],
    filed: Iterable[str] = (),
    limit_s: float = LIMIT_S,
) -> list[Command]:
    """Return one command for each notifier that wants this notice.

    `filed` are variables that come from env files: a notifier gets one only when it names it.
    """
    every = list(notifiers)
    wanted = [one for one in every if notice.kind in one.on]
    named = NamedSecrets(tuple(one.target for one in every if one.kind == "env"), tuple(filed))
    return [
        Command(
            name=label(one),
            argv=_argv(one),
            env={
                **without_secrets(environ, one.env or _proxies(one), named),
                **_variables(notice),
                **dict(_url(one, environ)),
            },
            token=f"{notice.task_id}/notify.{number}",
            limit_s=limit_s,
        )
        for number, one in enumerate(wanted, 1)
    ]


def label(notifier: Notifier) -> str:
    """Return the name of a notifier in a log: of a URL only its scheme."""
    shown = {"url": notifier.target.partition("://")[0], "env": f"env:{notifier.target}"}
    return shown.get(notifier.kind) or " ".join(notifier.target.split())[:60]


def _proxies(notifier: Notifier) -> tuple[str, ...]:
    """Return the proxy variables of the apprise worker; a command gets none: their URLs may hold a password."""
    return () if notifier.kind == "command" else PROXIES


def _argv(notifier: Notifier) -> tuple[str, ...]:
    if notifier.kind == "command":
        return (*SHELL, notifier.target)
    return (sys.executable, "-I", WORKER)


def _url(notifier: Notifier, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if notifier.kind == "url":
        yield "DO_TASKS_NOTIFY_URL", notifier.target
    elif notifier.kind == "env":
        yield "DO_TASKS_NOTIFY_URL", environ.get(notifier.target, "")
        yield "DO_TASKS_NOTIFY_FROM", notifier.target


def _variables(notice: Notice) -> dict[str, str]:
    """Return the notice as environment variables, without NUL and of bounded length."""
    variables = {
        "DO_TASKS_NOTICE": notice.kind,
        "DO_TASKS_MESSAGE": notice.message,
        "DO_TASKS_TASK_ID": notice.task_id,
        "DO_TASKS_STEP": str(notice.step),
        "DO_TASKS_KEY": notice.key,
    }
    return {name: clean_control(text[:MESSAGE_CHARS]) for name, text in variables.items()}
