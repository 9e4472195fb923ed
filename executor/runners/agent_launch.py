"""An agent on its way: what is started, what it is told, what it is given."""

from __future__ import annotations

import os
import sys

from executor.guard import agent, confine, judge_places
from executor.plan import env_files, roles
from executor.runners import agent_setup as kits
from executor.runners import brief, claude_code, process_run
from executor.runners.agent import request as orders
from executor.runners.agent.usage import limit_reached
from executor.runners.agent_output import said_before, used
from executor.runners.main_run import log_started
from executor.store import log_reader, runs
from executor.system import files, own_program
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from executor.guard.confine import Surroundings
    from executor.runners.agent_setup import AgentSetup
    from executor.store.context import RunContext
    from executor.store.task import Task

START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from executor.runners.agent.main import entry; entry()"
PROMPT = "prompt.md"
MOST_DENIED = 100  # locked paths that the command line of Claude Code carries
FEEDBACK_CHARS = 6000
SENT_BACK = "judged"
GO_ON = "You were stopped and go on now. Look at what is there before you do anything again."


class AgentLaunch:
    """One run of an agent on its way."""

    def __init__(self, context: RunContext, task: Task, run: str, kit: AgentSetup) -> None:
        self._context = context
        self._task = task
        self._run = run
        self._kit = kit
        self._folder = context.folder(task, run)
        self.watched: agent.Baseline | None = None
        self._startup = agent.startup_of(context, task)
        self._before = "" if kit.program else _with_talk(context, task)
        self._session, self._spoke_in, usd = said_before(context, task) if kit.program else ("", 0, 0.0)
        self._used = used(context, task).replace(usd=usd)

    @property
    def spent_out(self) -> str:
        """Why there is no next run: Claude Code counts anew in each, so what is left is reckoned here."""
        return limit_reached(self._used, self._kit.bounds)[1] if self._kit.program else ""

    def argv(self) -> tuple[str, ...]:
        """Return what the launcher starts."""
        if not self._kit.program:
            return (sys.executable, "-I", "-c", START, own_program.FOLDER, self._folder)
        around = confine.surroundings(self._context, self._task)
        return claude_code.argv(
            self._kit.program,
            role=self._kit.role,
            model=self._kit.model,
            turns=self._kit.bounds.turns - self._used.turns,
            usd=max(0.0, self._kit.bounds.usd - self._used.usd),
            resume=self._session,
            deny=(*agent.globs_of(self._context), *judge_places.globs_of(self._startup), *self._unwritten(around)),
            prompt_file=os.path.join(self._folder, PROMPT),
            hidden=around.sight.hidden,
            settings=self._settings(around),
        )

    def _unwritten(self, around: Surroundings) -> list[str]:
        """Return globs of what is locked: none of its tools writes there."""
        off = confine.wanted_of(self._context, self._task).mode == "off"
        return [] if off else [glob for path in around.read_only[:MOST_DENIED] for glob in (path, f"{path}/**")]

    def _settings(self, around: Surroundings) -> dict[str, object] | None:
        """Return what has Claude Code hold its shell in, None where its own sandbox cannot be had."""
        held = self._kit.containment
        if held.kind != "claude-code":
            return None
        hidden, shown = confine.of_homes(self._context, around)
        return claude_code.sandboxed(network=held.network, hidden=hidden, shown=shown)

    def environ(self) -> dict[str, str]:
        """Return what the process is given: ours all secrets, so that it can mask them; Claude Code its own."""
        told = process_run.environment(self._context, self._task, self._run)
        if not self._kit.program:
            return {**os.environ, **told}
        named = {name: os.environ[name] for name in os.environ if name.startswith(claude_code.OWN)}
        return claude_code.environment({**named, **told}, self._secrets(), self._context.named_secrets(self._task))

    def note(self, pid: int) -> None:
        """Remember what judges the work, leave the order, log that the agent is about to be let go."""
        self.watched = agent.remember(
            self._context, self._task, self._run, role=self._kit.role.file, startup=self._startup
        )
        held = confine.hold(self._context, self._task, self._run, self._kit.containment)
        self._leave_prompt() if self._kit.program else self._leave_order(held)
        log_started(
            self._context,
            self._task,
            self._run,
            pid,
            command=f"agent {self._kit.role.name}",
            runner=self._task.runner,
            agent=self._kit.role.name,
            model=self._kit.model,
            containment=self._kit.containment.words,
            contained=self._kit.containment.kind != "none",
        )

    def _leave_order(self, held: Surroundings) -> None:
        role, context, task = self._kit.role, self._context, self._task
        spec, named = task.step.main, context.named_secrets(task)
        orders.write(
            orders.AgentRequest(
                root=context.root,
                folder=self._folder,
                token=f"{task.task_id}/{self._run}",
                digest=task.digest,
                model=self._kit.model,
                instructions=context.masker.mask(f"{role.body.strip()}\n\n{_surroundings(context.root, self._kit)}"),
                brief=kits.told(context, task, self._kit, finish=brief.finish_of("agent")),
                criteria=tuple(one.text for one in spec.criteria) if spec else (),
                tools=roles.tools_of(role),
                views_only=roles.reads_only(role),
                guarded=agent.globs_of(self._context),
                steering=judge_places.globs_of(self._startup),
                judges=self.watched.memory.startup if self.watched else (),
                env=tuple(sorted(process_run.environment(context, task, self._run))),
                allowed=self._secrets(),
                urls=named.urls,
                filed=named.filed,
                hidden=env_files.hidden(context.plan, context.root),
                before=self._before,
                word=self._word(),
                limit_s=spec.limit_s if spec else 0.0,
                bounds=self._kit.bounds,
                containment=self._kit.containment,
                keep=(*held.keep, sys.prefix),
                locked=held.read_only,
                sight=held.sight,
            )
        )

    def _leave_prompt(self) -> None:
        result = self._context.relative(os.path.join(self._folder, "result.json"))
        first = kits.told(
            self._context, self._task, self._kit, finish=brief.finish_of("claude-code", result_path=result)
        )
        again = f"{self._word() or GO_ON}\n\n{brief.finish_of('claude-code', result_path=result)}"
        files.replace(os.path.join(self._folder, PROMPT), (again if self._session else first).encode())

    def _word(self) -> str:
        """Return what an agent is told that goes on: what POST found, until a run has heard it; else nothing."""
        lines = log_reader.task_lines(self._context.root, self._task.task_id)
        sent = [at for at, line in enumerate(lines) if line.get("failure") == SENT_BACK]
        if not sent or runs.main_number(str(lines[sent[-1]].get("run"))) <= self._heard_in:
            return ""
        return feedback(lines[: sent[-1]], str(lines[sent[-1]].get("reason")))

    @property
    def _heard_in(self) -> int:
        """Return the number of the newest run that took in what it was told; without a conversation, of this one."""
        if not self._before and not self._session:
            return runs.main_number(self._run)
        return runs.main_number(os.path.basename(self._before)) if self._before else self._spoke_in

    def _secrets(self) -> tuple[str, ...]:
        return self._task.step.main.env if self._task.step.main else ()


def feedback(lines: Sequence[Mapping[str, Any]], reason: str) -> str:
    """Return what failed, with the end of its output: what `lines` say of the newest POST. Masked as the log is."""
    last = max((at for at, line in enumerate(lines) if line.get("event") == "MainFinished"), default=0)
    asked = [line for line in lines[last:] if line.get("phase") == "POST"]
    failed = [line for line in asked if line.get("status") not in ("passed", "info")]
    parts = ["Not accepted: the checks of do-tasks do not pass.", reason]
    for line in failed:
        name = line.get("name") or line.get("criterion")
        got = line.get("got") or line.get("evidence") or ""
        wanted = line.get("expected") or "it to be met"
        parts.append(f"{name}: expected {wanted}; got {got}\n{line.get('output') or ''}")
    parts.append("Mend it, look for yourself, then hand in again.")
    return "\n\n".join(part.strip() for part in parts if part.strip())[-FEEDBACK_CHARS:]


def _surroundings(root: str, kit: AgentSetup) -> str:
    return "\n".join(
        (
            f"You work in {root}. Each command starts there, in a fresh shell, without a terminal, and it ends",
            f"after {kit.bounds.command_s:g} s at the latest with all that it started. {kit.containment.words}.",
        )
    )


def _with_talk(context: RunContext, task: Task) -> str:
    """Return the folder of the newest run of this task that left its conversation, empty when there is none."""
    newest = runs.main_number(runs.newest_main(context.root, task.task_id))
    folders = [context.folder(task, f"main.{number}") for number in range(newest, 0, -1)]
    return next((one for one in folders if os.path.exists(os.path.join(one, orders.TRAJECTORY))), "")
