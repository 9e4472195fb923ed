"""The start of an agent: its command line, prompt and environment."""

from __future__ import annotations

import os
import sys

from executor.guard import agent_baseline, startup_places, surroundings
from executor.plan import env_files, roles
from executor.runners import agent_setup, brief, claude_code, process_run
from executor.runners.agent import request as requests
from executor.runners.agent.conversation import GO_ON
from executor.runners.agent.usage import limit_reached
from executor.runners.agent_output import session_before, used
from executor.runners.main_run import log_started
from executor.store import log_reader, runs
from executor.system import files, installation
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from executor.guard.surroundings import Surroundings
    from executor.runners.agent_setup import AgentSetup
    from executor.store.context import RunContext
    from executor.store.task import Task

START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from executor.runners.agent.main import entry; entry()"
PROMPT = "prompt.md"
MOST_DENIED = 100  # locked paths that the command line of Claude Code carries
FEEDBACK_CHARS = 6000
SENT_BACK = "judged"


class AgentLaunch:
    """The start of one run of an agent."""

    def __init__(self, context: RunContext, task: Task, run: str, setup: AgentSetup) -> None:
        self._context = context
        self._task = task
        self._run = run
        self._setup = setup
        self._folder = context.folder(task, run)
        self.baseline: agent_baseline.Baseline | None = None
        self._startup = agent_baseline.startup_of(context, task)
        self._before = "" if setup.program else _last_conversation(context, task)
        self._session, self._last_session_run, usd = session_before(context, task) if setup.program else ("", 0, 0.0)
        self._used = used(context, task).replace(usd=usd)

    @property
    def limit_reached(self) -> str:
        """The reason why no further run may begin, empty for none; Claude Code itself counts each run alone."""
        return limit_reached(self._used, self._setup.bounds)[1] if self._setup.program else ""

    def argv(self) -> tuple[str, ...]:
        """Return the command line for the launcher."""
        if not self._setup.program:
            return (sys.executable, "-I", "-c", START, installation.IMPORT_FOLDER, self._folder)
        around = surroundings.surroundings_of(self._context, self._task)
        return claude_code.argv(
            self._setup.program,
            role=self._setup.role,
            model=self._setup.model,
            turns=self._setup.bounds.turns - self._used.turns,
            usd=max(0.0, self._setup.bounds.usd - self._used.usd),
            resume=self._session,
            deny=(
                *agent_baseline.guarded_globs(self._context, self._task),
                *startup_places.globs_of(self._startup),
                *self._unwritten(around),
            ),
            prompt_file=os.path.join(self._folder, PROMPT),
            hidden=around.sight.hidden,
            settings=self._settings(around),
        )

    def _unwritten(self, around: Surroundings) -> list[str]:
        """Return globs of the locked paths, where no tool may write."""
        off = surroundings.sandbox_settings(self._context, self._task).mode == "off"
        return [] if off else [glob for path in around.read_only[:MOST_DENIED] for glob in (path, f"{path}/**")]

    def _settings(self, around: Surroundings) -> dict[str, object] | None:
        """Return the settings of Claude Code's own sandbox, None without it."""
        containment = self._setup.containment
        if containment.kind != "claude-code":
            return None
        hidden, shown = surroundings.hidden_homes(self._context, around)
        return claude_code.sandboxed(network=containment.network, hidden=hidden, shown=shown)

    def environ(self) -> dict[str, str]:
        """Return the environment: the built-in agent gets all secrets, to mask them, Claude Code its own."""
        common = process_run.environment(self._context, self._task, self._run)
        if not self._setup.program:
            return {**os.environ, **common}
        named = {name: os.environ[name] for name in os.environ if name.startswith(claude_code.OWN)}
        return claude_code.environment({**named, **common}, self._secrets(), self._context.named_secrets(self._task))

    def prepare(self, pid: int) -> None:
        """Keep the judges, write the request or the prompt, log the start of the agent."""
        self.baseline = agent_baseline.take_baseline(
            self._context, self._task, self._run, role=self._setup.role.file, startup=self._startup
        )
        around = surroundings.prepare(self._context, self._task, self._run, self._setup.containment)
        self._write_prompt() if self._setup.program else self._write_request(around)
        log_started(
            self._context,
            self._task,
            self._run,
            pid,
            command=f"agent {self._setup.role.name}",
            runner=self._task.runner,
            agent=self._setup.role.name,
            model=self._setup.model,
            containment=self._setup.containment.words,
            contained=self._setup.containment.kind != "none",
        )

    def _write_request(self, around: Surroundings) -> None:
        role, context, task = self._setup.role, self._context, self._task
        spec, named = task.step.main, context.named_secrets(task)
        requests.write(
            requests.AgentRequest(
                root=context.root,
                folder=self._folder,
                token=f"{task.task_id}/{self._run}",
                digest=task.digest,
                model=self._setup.model,
                instructions=context.masker.mask(f"{role.body.strip()}\n\n{_surroundings(context.root, self._setup)}"),
                brief=agent_setup.prompt(context, task, self._setup, finish=brief.finish_of("agent")),
                criteria=tuple(one.text for one in spec.criteria) if spec else (),
                tools=roles.tools_of(role),
                views_only=roles.reads_only(role),
                guarded=agent_baseline.guarded_globs(self._context, self._task),
                steering=startup_places.globs_of(self._startup),
                judges=self.baseline.memory.startup if self.baseline else (),
                env=tuple(sorted(process_run.environment(context, task, self._run))),
                allowed=self._secrets(),
                urls=named.urls,
                filed=named.filed,
                hidden=env_files.hidden(context.plan, context.root),
                before=self._before,
                word=self._message(),
                limit_s=spec.limit_s if spec else 0.0,
                bounds=self._setup.bounds,
                containment=self._setup.containment,
                keep=(*around.keep, sys.prefix),
                locked=around.read_only,
                sight=around.sight,
            )
        )

    def _write_prompt(self) -> None:
        result = self._context.relative(os.path.join(self._folder, "result.json"))
        first = agent_setup.prompt(
            self._context, self._task, self._setup, finish=brief.finish_of("claude-code", result_path=result)
        )
        again = f"{self._message() or GO_ON}\n\n{brief.finish_of('claude-code', result_path=result)}"
        files.replace(os.path.join(self._folder, PROMPT), (again if self._session else first).encode())

    def _message(self) -> str:
        """Return the result of POST for an agent that continues, empty when an earlier run has received it."""
        lines = log_reader.task_lines(self._context.root, self._task.task_id)
        sent = [at for at, line in enumerate(lines) if line.get("failure") == SENT_BACK]
        if not sent or runs.main_number(str(lines[sent[-1]].get("run"))) <= self._message_seen_in:
            return ""
        return feedback(lines[: sent[-1]], str(lines[sent[-1]].get("reason")))

    @property
    def _message_seen_in(self) -> int:
        """Return the number of the newest run that received its message; without a conversation, of this run."""
        if not self._before and not self._session:
            return runs.main_number(self._run)
        return runs.main_number(os.path.basename(self._before)) if self._before else self._last_session_run

    def _secrets(self) -> tuple[str, ...]:
        return self._task.step.main.env if self._task.step.main else ()


def feedback(lines: Sequence[Mapping[str, Any]], reason: str) -> str:
    """Return the failed checks of the newest POST in `lines`, with the end of their output; masked as the log is."""
    last = max((at for at, line in enumerate(lines) if line.get("event") == "MainFinished"), default=0)
    asked = [line for line in lines[last:] if line.get("phase") == "POST"]
    failed = [line for line in asked if line.get("status") not in ("passed", "info")]
    parts = ["Not accepted: the checks of do-tasks do not pass.", reason]
    for line in failed:
        name = line.get("name") or line.get("criterion")
        got = line.get("got") or line.get("evidence") or ""
        wanted = line.get("expected") or "it to be met"
        parts.append(f"{name}: expected {wanted}; got {got}\n{line.get('output') or ''}")
    parts.append("Fix it, run the checks yourself, then hand in again.")
    return "\n\n".join(part.strip() for part in parts if part.strip())[-FEEDBACK_CHARS:]


def _surroundings(root: str, setup: AgentSetup) -> str:
    return "\n".join(
        (
            f"You work in {root}. Each command starts there, in a fresh shell, without a terminal, and it ends",
            f"after {setup.bounds.command_s:g} s at the latest with all that it started. {setup.containment.words}.",
        )
    )


def _last_conversation(context: RunContext, task: Task) -> str:
    """Return the folder of the newest run of this task with a conversation, empty for none."""
    newest = runs.main_number(runs.newest_main(context.root, task.task_id))
    folders = [context.folder(task, f"main.{number}") for number in range(newest, 0, -1)]
    return next((one for one in folders if os.path.exists(os.path.join(one, requests.TRAJECTORY))), "")
