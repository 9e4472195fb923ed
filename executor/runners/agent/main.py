"""The agent as a program: it reads its order, works, leaves its claims, exits 0 when it handed in."""

from __future__ import annotations

import json
import os
import signal
import sys

from executor.checks.criteria import read_result
from executor.guard.mounts import contained
from executor.guard.path_patterns import matches
from executor.guard.start_files import ANYWHERE
from executor.plan.roles import BASH, EDITOR
from executor.runners.agent import request as orders
from executor.runners.agent import tools as tool_list
from executor.runners.agent.conversation import Conversation
from executor.runners.agent.editor import Editor
from executor.runners.agent.loop import End, Loop
from executor.runners.agent.model import Model, ServiceError, client, resolve
from executor.runners.agent.shell import Shell, environment
from executor.system import files, masking, own_environment, secret_values
from executor.system.interrupts import Interrupts
from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import NamedSecrets
from executor.system.sockets import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType
    from typing import Any, NoReturn

    from executor.runners.agent.loop import Tool
    from executor.runners.agent.request import AgentRequest

SCRATCH = "scratch"
GIT = ".git"
RESULT = "result.json"
LONGEST_S = 86_400.0  # of one answer, in a plan that sets no limit
GRACE_S = 1.0  # for our own waits to end first: they say more


class Interrupted(BaseException):
    """Somebody ended us while we waited for the model."""


class ModelTimeout(BaseException):
    """The service went on, with signs of life alone, past the time that is left."""


class AgentSignals(Interrupts):
    """Signals that end a command at once, and a wait for the model too."""

    def listen(self) -> None:
        super().listen()
        signal.signal(signal.SIGALRM, _be_late)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes is no business of ours

    waiting = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        super()._note(number, frame)
        if self.waiting:
            raise Interrupted


def _be_late(number: int, frame: FrameType | None) -> None:
    raise ModelTimeout


def entry() -> NoReturn:
    """Run as a program: the run folder."""
    masker = masking.Masker(secret_values.secrets(os.environ))
    code = 70
    try:
        order = orders.read(sys.argv[1])
        masker.learn(secret_values.secrets(os.environ, NamedSecrets(order.urls, order.filed)))
        code = work(order, masker, os.environ)
    except Exception:  # noqa: BLE001 - it is told, masked, and the run has failed
        import traceback

        sys.stderr.write(masker.mask(traceback.format_exc()))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the SDK must not keep us


def work(order: AgentRequest, masker: masking.Masker, environ: Mapping[str, str]) -> int:
    """Do the order; return the exit code. Everything printed is masked."""
    os.chdir(order.root)
    own_environment.withhold()
    ears = AgentSignals()
    ears.listen()
    say = _printer(masker)
    talk = Conversation(order, masker)
    try:
        service = client(environ, order.bounds)
        ears.waiting = True
        order = order.replace(model=resolve(service, order.model))
        ears.waiting = False
        talk = Conversation(order, masker)
        end = _talk_on(order, talk, service, ears, masker, say)
    except ServiceError as error:
        end = End(error.kind, str(error))
    except Interrupted:
        end = End("interrupted", ears.reason)
    if ears.count:
        end = End("interrupted", ears.reason)
    _leave(order, end)
    if talk.messages:
        talk.save(end.kind, end.text)
    say(_last_word(talk, end))
    if end.code:
        sys.stderr.write(f"{masker.mask(end.text)}\n")
    return end.code


def _talk_on(
    order: AgentRequest,
    talk: Conversation,
    service: Any,
    ears: AgentSignals,
    masker: masking.Masker,
    say: Callable[[dict[str, Any]], None],
) -> End:
    def note(text: str) -> None:
        say({"type": "system", "subtype": "note", "text": text})

    model = _InterruptibleModel(service, order.model, ears, bounds=order.bounds, note=note, sleep=ears.sleep)
    offered = tool_list.offered(order.tools, order.model)
    say(
        {"type": "system", "subtype": "init", "session_id": talk.session, "model": order.model, "tools": [*order.tools]}
    )
    talk.begin(order.brief)
    talk.save("working")
    loop = Loop(order, talk, model, tools=_tools(order, ears, masker), offered=offered)
    return loop.run(say)


class _InterruptibleModel(Model):
    """A model whose answer is not waited for when somebody ends us."""

    def __init__(self, service: Any, name: str, ears: AgentSignals, **more: Any) -> None:
        super().__init__(service, name, **more)
        self._ears = ears

    def ask(self, *, left_s: float, **question: Any) -> Any:
        if self._ears.count:
            raise Interrupted
        self._ears.waiting = True
        signal.setitimer(signal.ITIMER_REAL, min(left_s, LONGEST_S) + GRACE_S)
        try:
            return super().ask(left_s=left_s, **question)
        except ModelTimeout:
            raise ServiceError("seconds", f"the model's service gave no answer within {left_s:.0f} s") from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._ears.waiting = False


def _tools(order: AgentRequest, ears: AgentSignals, masker: masking.Masker) -> dict[str, Tool]:
    """Return the tools of the order by name, each bound to the project."""
    scratch = files.private_folder(os.path.join(order.folder, SCRATCH))
    files.private_folder(os.path.join(scratch, "tmp"))
    known: dict[str, Tool] = {
        BASH: _shell(order, scratch, ears, masker),
        EDITOR: _editor(order, masker),
    }
    return {name: known[name] for name in order.tools if name in known}


def _shell(order: AgentRequest, scratch: str, ears: AgentSignals, masker: masking.Masker) -> Shell:
    from executor.guard.protect import present

    told = {name: value for name, value in os.environ.items() if name in order.env}
    home = os.path.expanduser("~")
    judges = (*present(order.root, order.guarded), *order.judges)

    def wrap(argv: tuple[str, ...]) -> tuple[str, ...]:
        return contained(
            order.containment,
            argv,
            root=order.root,
            scratch=scratch,
            home=home,
            read_only=(*judges, *order.locked),
            keep=order.keep,
            sight=order.sight.replace(sockets=(*order.sight.sockets, *listening())),
        )

    return Shell(
        root=order.root,
        env=environment(
            told,
            names=order.allowed,
            extra={"DO_TASKS_RESULT": os.path.join(scratch, RESULT)},
            named=NamedSecrets(order.urls, order.filed),
        ),
        token=order.token,
        folder=order.folder,
        wrap=wrap,
        masker=masker,
        limit_s=order.bounds.command_s,
        interrupts=ears,
    )


def _editor(order: AgentRequest, masker: masking.Masker) -> Tool:
    def refuses(path: str) -> str:
        glob = matches(path, (*order.guarded, *order.steering, ".task_execution.log*", ".do-tasks/**"))
        if glob:
            return f"{glob} judges this work, or records it: no agent changes it"
        return _not_its_own(order, path)

    editor = Editor(
        root=order.root,
        refuses=refuses,
        views_only=order.views_only,
        masker=masker,
        readable=(),
        hidden=(*order.hidden, *order.sight.hidden),
    )
    return lambda given, **_: editor(given)


def _not_its_own(order: AgentRequest, path: str) -> str:
    """Return why a path is not written, though it judges nothing; empty when it may be."""
    names = path.split("/")
    if matches(path, (*order.locked, f"{GIT}/**")):
        return f"{path} is of the environment, or starts by itself: the plan locks it (sandbox: {{write: [...]}})"
    if any(name in ANYWHERE for name in names) and not os.path.lexists(os.path.join(order.root, path)):
        return f"{path} would start by itself, unasked: the plan does not allow it (sandbox: {{write: [...]}})"
    return ""


def _leave(order: AgentRequest, end: End) -> None:
    """Put the claims beside what the agent's own scripts reported."""
    if not end.claims.criteria and end.kind not in ("done", "not_met"):
        return
    reported = os.path.join(order.folder, SCRATCH, RESULT)
    if os.path.islink(reported):  # its target may be a file that the shell cannot read
        os.unlink(reported)
    told = read_result(reported)
    if not told.written and order.before:
        told = read_result(os.path.join(order.before, RESULT))  # what its scripts reported in the round before
    body = {
        "criteria": {**told.criteria, **end.claims.criteria},
        "metrics": told.metrics,
        "note": end.claims.summary or told.note,
    }
    files.replace(os.path.join(order.folder, RESULT), json.dumps(body).encode())


def _last_word(talk: Conversation, end: End) -> dict[str, Any]:
    spent = talk.spent
    return {
        "type": "result",
        "subtype": "success" if end.kind == "done" else f"error_{end.kind}",
        "is_error": end.kind != "done",
        "num_turns": spent.turns,
        "result": end.text,
        "total_cost_usd": spent.usd,
        "session_id": talk.session,
        "permission_denials": [],
    }


def _printer(masker: masking.Masker) -> Callable[[dict[str, Any]], None]:
    def say(event: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(masker.mask_all(event), ensure_ascii=False) + "\n")
        sys.stdout.flush()

    return say
