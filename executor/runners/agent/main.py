"""The agent as a program: read the request, work, write the claims; exit 0 after a call of `done`."""

from __future__ import annotations

import json
import os
import signal
import sys

from executor.checks.criteria import read_result
from executor.guard.autostart_files import ANYWHERE
from executor.guard.mounts import contained_argv
from executor.guard.path_patterns import matching_glob
from executor.plan.roles import BASH, EDITOR
from executor.runners.agent import request as requests
from executor.runners.agent import tools as tool_list
from executor.runners.agent.conversation import Conversation
from executor.runners.agent.editor import Editor
from executor.runners.agent.loop import End, Loop
from executor.runners.agent.model import Model, ServiceError, client, resolve
from executor.runners.agent.shell import Shell, environment
from executor.system import files, masking, process_privacy, secret_values
from executor.system.interrupts import Interrupts
from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import NamedSecrets
from executor.system.sockets import listening_sockets

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
GRACE_S = 1.0  # the limits of the model end first: their errors explain more


class Interrupted(BaseException):
    """A signal came during a request to the model."""


class ModelTimeout(BaseException):
    """The service sent no complete answer within the remaining time."""


class AgentSignals(Interrupts):
    """Signals that end a command, or a request to the model, at once."""

    def listen(self) -> None:
        super().listen()
        signal.signal(signal.SIGALRM, _time_out)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the agent outlives its terminal

    waiting = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        super()._note(number, frame)
        if self.waiting:
            raise Interrupted


def _time_out(number: int, frame: FrameType | None) -> None:
    raise ModelTimeout


def entry() -> NoReturn:
    """Run as a program; its argument is the run folder."""
    masker = masking.Masker(secret_values.secrets_of(os.environ))
    code = 70
    try:
        request = requests.read(sys.argv[1])
        masker.learn(secret_values.secrets_of(os.environ, NamedSecrets(request.urls, request.filed)))
        code = work(request, masker, os.environ)
    except Exception:  # noqa: BLE001 - it is printed, masked, and the run has failed
        import traceback

        sys.stderr.write(masker.mask(traceback.format_exc()))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the SDK must not keep the process alive


def work(request: AgentRequest, masker: masking.Masker, environ: Mapping[str, str]) -> int:
    """Work on the request and return the exit code. All output is masked."""
    os.chdir(request.root)
    process_privacy.overwrite_secrets()
    signals = AgentSignals()
    signals.listen()
    emit = _printer(masker)
    conversation = Conversation(request, masker)
    try:
        service = client(environ, request.bounds)
        signals.waiting = True
        request = request.replace(model=resolve(service, request.model))
        signals.waiting = False
        conversation = Conversation(request, masker)
        end = _converse(request, conversation, service, signals, masker, emit)
    except ServiceError as error:
        end = End(error.kind, str(error))
    except Interrupted:
        end = End("interrupted", signals.reason)
    if signals.count:
        end = End("interrupted", signals.reason)
    _write_result(request, end)
    if conversation.messages:
        conversation.save(end.kind, end.text)
    emit(_result_event(conversation, end))
    if end.code:
        sys.stderr.write(f"{masker.mask(end.text)}\n")
    return end.code


def _converse(
    request: AgentRequest,
    conversation: Conversation,
    service: Any,
    signals: AgentSignals,
    masker: masking.Masker,
    emit: Callable[[dict[str, Any]], None],
) -> End:
    def note(text: str) -> None:
        emit({"type": "system", "subtype": "note", "text": text})

    model = _InterruptibleModel(service, request.model, signals, bounds=request.bounds, note=note, sleep=signals.sleep)
    offered = tool_list.offered(request.tools, request.model)
    emit(
        {
            "type": "system",
            "subtype": "init",
            "session_id": conversation.session,
            "model": request.model,
            "tools": [*request.tools],
        }
    )
    conversation.begin(request.brief)
    conversation.save("working")
    loop = Loop(request, conversation, model, tools=_tools(request, signals, masker), offered=offered, emit=emit)
    return loop.run()


class _InterruptibleModel(Model):
    """A model whose request ends at a signal, and at the time limit."""

    def __init__(self, service: Any, name: str, signals: AgentSignals, **more: Any) -> None:
        super().__init__(service, name, **more)
        self._signals = signals

    def ask(self, *, left_s: float, **question: Any) -> Any:
        if self._signals.count:
            raise Interrupted
        self._signals.waiting = True
        signal.setitimer(signal.ITIMER_REAL, min(left_s, LONGEST_S) + GRACE_S)
        try:
            return super().ask(left_s=left_s, **question)
        except ModelTimeout:
            raise ServiceError("seconds", f"the model's service gave no answer within {left_s:.0f} s") from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._signals.waiting = False


def _tools(request: AgentRequest, signals: AgentSignals, masker: masking.Masker) -> dict[str, Tool]:
    """Return the tools of the request by name, each bound to the project."""
    scratch = files.private_folder(os.path.join(request.folder, SCRATCH))
    files.private_folder(os.path.join(scratch, "tmp"))
    known: dict[str, Tool] = {
        BASH: _shell(request, scratch, signals, masker),
        EDITOR: _editor(request, masker),
    }
    return {name: known[name] for name in request.tools if name in known}


def _shell(request: AgentRequest, scratch: str, signals: AgentSignals, masker: masking.Masker) -> Shell:
    from executor.guard.protect import existing_paths

    home = os.path.expanduser("~")
    judges = (*existing_paths(request.root, request.guarded), *request.judges)

    def wrap(argv: tuple[str, ...]) -> tuple[str, ...]:
        return contained_argv(
            request.containment,
            argv,
            root=request.root,
            scratch=scratch,
            home=home,
            read_only=(*judges, *request.locked),
            keep=request.keep,
            sight=request.sight.replace(sockets=(*request.sight.sockets, *listening_sockets())),
        )

    return Shell(
        root=request.root,
        env=_shell_environment(request, scratch),
        token=request.token,
        folder=request.folder,
        wrap=wrap,
        masker=masker,
        limit_s=request.bounds.command_s,
        interrupts=signals,
    )


def _shell_environment(request: AgentRequest, scratch: str) -> dict[str, str]:
    """Return the environment of the shell's commands: the inherited variables without secrets, and the result file."""
    return environment(
        {name: value for name, value in os.environ.items() if name in request.env},
        names=request.allowed,
        extra={"DO_TASKS_RESULT": os.path.join(scratch, RESULT)},
        named=NamedSecrets(request.urls, request.filed),
    )


def _editor(request: AgentRequest, masker: masking.Masker) -> Tool:
    def refuses(path: str) -> str:
        glob = matching_glob(path, (*request.guarded, *request.steering, ".task_execution.log*", ".do-tasks/**"))
        if glob:
            return f"{glob} judges this work, or records it: no agent changes it"
        return _not_its_own(request, path)

    editor = Editor(
        root=request.root,
        refuses=refuses,
        views_only=request.views_only,
        masker=masker,
        hidden=(*request.hidden, *request.sight.hidden),
    )
    return lambda given, **_: editor(given)


def _not_its_own(request: AgentRequest, path: str) -> str:
    """Return the reason why a path that is no judge must not be written, empty when it may be."""
    names = path.split("/")
    if matching_glob(path, (*request.locked, f"{GIT}/**")):
        return f"{path} is of the environment, or starts by itself: the plan locks it (sandbox: {{write: [...]}})"
    if any(name in ANYWHERE for name in names) and not os.path.lexists(os.path.join(request.root, path)):
        return f"{path} would start by itself, unasked: the plan does not allow it (sandbox: {{write: [...]}})"
    return ""


def _write_result(request: AgentRequest, end: End) -> None:
    """Write the claims, together with the results that scripts of the agent reported."""
    if not end.claims.criteria and end.kind not in ("done", "not_met"):
        return
    reported = os.path.join(request.folder, SCRATCH, RESULT)
    if os.path.islink(reported):  # its target may be a file that the shell cannot read
        os.unlink(reported)
    found = read_result(reported)
    if not found.written and request.before:
        found = read_result(os.path.join(request.before, RESULT))  # of the previous round
    body = {
        "criteria": {**found.criteria, **end.claims.criteria},
        "metrics": found.metrics,
        "note": end.claims.summary or found.note,
    }
    files.replace(os.path.join(request.folder, RESULT), json.dumps(body).encode())


def _result_event(conversation: Conversation, end: End) -> dict[str, Any]:
    usage = conversation.usage
    return {
        "type": "result",
        "subtype": "success" if end.kind == "done" else f"error_{end.kind}",
        "is_error": end.kind != "done",
        "num_turns": usage.turns,
        "result": end.text,
        "total_cost_usd": usage.usd,
        "session_id": conversation.session,
        "permission_denials": [],
    }


def _printer(masker: masking.Masker) -> Callable[[dict[str, Any]], None]:
    def emit(event: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(masker.mask_all(event), ensure_ascii=False) + "\n")
        sys.stdout.flush()

    return emit
