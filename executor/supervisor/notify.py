"""Tells people of alerts, recoveries and ends: what to run for each who wants to know."""

from __future__ import annotations

import sys

from executor.system import own_program
from executor.system.masking import clean_control
from executor.system.process import Command
from executor.system.records import TYPE_CHECKING, Record
from executor.system.secret_values import NamedSecrets, without_secrets
from executor.system.shell.bash_command import SHELL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from executor.plan.model import Notifier

LIMIT_S = 30.0
MESSAGE_CHARS = 4000
PROXIES = tuple(f(f"{way}_proxy") for way in ("http", "https", "all", "no") for f in (str.lower, str.upper))
HERALD = own_program.path_of("supervisor", "notify_worker.py")


class Notice(Record):
    """What is to be told: `kind` is alert, recovered, finished or died; `key` that of the alert, if any."""

    kind: str
    message: str
    task_id: str
    step: int
    key: str = ""


def commands(
    notifiers: Iterable[Notifier],
    notice: Notice,
    *,
    environ: Mapping[str, str],
    filed: Iterable[str] = (),
    first: int = 1,
    limit_s: float = LIMIT_S,
) -> list[Command]:
    """Return a process for each notifier that wants this notice; `first` numbers them, so that no two share a token.

    `filed` are variables that come from env files, which a notifier is only given when it names them.
    """
    everybody = list(notifiers)
    wanted = [one for one in everybody if notice.kind in one.on]
    named = NamedSecrets(tuple(one.target for one in everybody if one.kind == "env"), tuple(filed))
    return [
        Command(
            name=label(one),
            argv=_argv(one),
            env={**without_secrets(environ, one.env or _ways(one), named), **_said(notice), **dict(_url(one, environ))},
            token=f"{notice.task_id}/notify.{number}",
            limit_s=limit_s,
        )
        for number, one in enumerate(wanted, first)
    ]


def label(notifier: Notifier) -> str:
    """Return what a log may call a notifier: of a URL only its scheme."""
    shown = {"url": notifier.target.partition("://")[0], "env": f"env:{notifier.target}"}
    return shown.get(notifier.kind) or " ".join(notifier.target.split())[:60]


def _ways(notifier: Notifier) -> tuple[str, ...]:
    """Return the variables by which our own process finds its way out: a proxy's URL may hold a password."""
    return () if notifier.kind == "command" else PROXIES


def _argv(notifier: Notifier) -> tuple[str, ...]:
    if notifier.kind == "command":
        return (*SHELL, notifier.target)
    return (sys.executable, "-I", HERALD)


def _url(notifier: Notifier, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if notifier.kind == "url":
        yield "DO_TASKS_NOTIFY_URL", notifier.target
    elif notifier.kind == "env":
        yield "DO_TASKS_NOTIFY_URL", environ.get(notifier.target, "")
        yield "DO_TASKS_NOTIFY_FROM", notifier.target


def _said(notice: Notice) -> dict[str, str]:
    """Return the notice as variables that exec takes: no NUL, not too long."""
    said = {
        "DO_TASKS_NOTICE": notice.kind,
        "DO_TASKS_MESSAGE": notice.message,
        "DO_TASKS_TASK_ID": notice.task_id,
        "DO_TASKS_STEP": str(notice.step),
        "DO_TASKS_KEY": notice.key,
    }
    return {name: clean_control(text[:MESSAGE_CHARS]) for name, text in said.items()}
