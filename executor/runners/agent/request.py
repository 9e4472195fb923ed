"""What the executor tells the process of an agent, in a file of its run folder."""

from __future__ import annotations

import json
import os

from executor.guard.mounts import Containment, Sight
from executor.plan.limits import AgentLimits
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FILE = "agent.json"
TALK = "trajectory.json"


class AgentRequest(Record):
    """All that an agent's process needs; no secret is in it.

    `root` and `folder` (of the run) are absolute; `env` names what the shell inherits, `allowed` the secrets among it.
    `urls` and `filed` name variables that are secrets because the plan says so; `hidden` are files it may not read.
    `locked` are paths of the project that are read-only beside those, `keep` and `sight` what is seen of the rest.
    `before` is the folder of a run whose conversation goes on, `word` what the agent is told then. `digest` is of what
    MAIN does: a conversation about something else is not continued. `guarded` and `steering` are globs of what it must
    not change, `judges` paths of those that are there besides what the former guard.
    """

    root: str
    folder: str
    token: str
    digest: str
    model: str
    instructions: str
    brief: str
    criteria: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    views_only: bool = False
    guarded: tuple[str, ...] = ()
    steering: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    filed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    before: str = ""
    word: str = ""
    limit_s: float = 0.0
    bounds: AgentLimits = AgentLimits()
    containment: Containment = Containment()
    keep: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()
    sight: Sight = Sight()


def write(order: AgentRequest) -> None:
    """Leave the order in its run folder."""
    nested = {name: getattr(order, name).asdict() for name in ("bounds", "containment", "sight")}
    body = {**order.asdict(), **nested}
    files.replace(os.path.join(order.folder, FILE), json.dumps(body).encode())


def read(folder: str) -> AgentRequest:
    """Return the order of a run folder; KeyError, TypeError or ValueError when it is not whole."""
    body: dict[str, Any] = safe_open.parsed(files.read(os.path.join(folder, FILE)))
    told = ("criteria", "tools", "env", "allowed", "urls", "filed", "hidden", "keep")
    several = (*told, "guarded", "steering", "judges", "locked")
    return AgentRequest(
        **{**body, **{name: tuple(body[name]) for name in several}},
    ).replace(
        bounds=AgentLimits(**body["bounds"]),
        containment=Containment(**body["containment"]),
        sight=_sight(body["sight"]),
    )


def _sight(body: Mapping[str, Any]) -> Sight:
    lists = {name: tuple(body[name]) for name in ("read", "hidden", "sockets")}
    return Sight(private=bool(body["private"]), **lists)
