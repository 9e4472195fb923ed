"""The task of an agent's process, as a file of its run folder."""

from __future__ import annotations

import json
import os

from executor.guard.mounts import Containment, View
from executor.plan.limits import AgentLimits
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from typing import Any

FILE = "agent.json"
TRAJECTORY = "trajectory.json"
NESTED = {"bounds": AgentLimits, "containment": Containment, "sight": View}


class AgentRequest(Record):
    """The request to an agent's process, without secrets.

    `root` and `folder` (of the run) are absolute paths. `env` names the variables of the shell, `allowed` the secrets
    among them. `urls` and `filed` name variables that the plan makes secrets. `guarded` and `steering` are globs of
    files that the agent must not change. `judges` are existing files of that kind that the globs do not find. `locked`
    are further read-only paths of the project. `hidden` are files that the agent must not read. `keep` and `sight`
    describe what it sees of the rest. `before` is the folder of the run whose conversation is continued, `word` the
    next message in it. A conversation with another `digest` (of MAIN) is not continued.
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
    sight: View = View()


def write(request: AgentRequest) -> None:
    """Write the request into its run folder."""
    body = {**request.asdict(), **{name: getattr(request, name).asdict() for name in NESTED}}
    files.replace(os.path.join(request.folder, FILE), json.dumps(body).encode())


def read(folder: str) -> AgentRequest:
    """Return the request of a run folder; KeyError, TypeError or ValueError when it is not complete."""
    body = safe_open.parse_json(files.read(os.path.join(folder, FILE)))
    nested = {name: kind(**_typed(body[name])) for name, kind in NESTED.items()}
    return AgentRequest(**{**_typed(body), **nested})


def _typed(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record, lists of JSON as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in body.items()}
