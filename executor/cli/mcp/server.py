"""The tools of `mcp`: each runs one command and answers with its exit code, its output and the next move."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp.types import ToolAnnotations
from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes no other below Python 3.12

from executor import __version__
from executor.cli.mcp.calls import CallResult, Child
from executor.cli.mcp.follow_up import OpenBrief, find_brief, move_after, named_in, person_wanted, without
from executor.errors import DoTasksError, UsageError
from executor.store.known_secrets import masker_here
from executor.system.interrupts import Interrupts
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control

if TYPE_CHECKING:
    from collections.abc import Callable

INSTRUCTIONS = """\
do-tasks runs a plan: SPEC.md says what must become true, one box a step; step_definitions.yaml says how each step is
checked, tried small, done and verified. Begin with `status`; `run` takes the open steps in order. Follow `exit_code`
and `next` of each answer until nothing is left of the request.

Exit 3 with a `brief` means that you have to do the work of MAIN: do what the brief says, then call `resume` with its
task id. do-tasks runs POST and the criteria itself and ticks the box, or reports what is missing; `next` of its answer
names the call of `run` that continues.

No tool ticks a box, opens one, or accepts a change: evidence does, or a person in a terminal. Do not edit SPEC.md,
step_definitions.yaml, tests, .task_execution.log or files under .do-tasks/, and do not loosen a check so that it
passes: while a brief is open such a change is refused by name until it is restored or a person accepts it. When the
plan itself is wrong, name the line and the reason, and leave the change to the user."""
MEANINGS = {
    0: "passed, running as expected, or nothing to do",
    1: "a step failed",
    2: "usage, definitions or SPEC.md",
    3: "waiting for you, a dependency, a job or a person",
    4: "an alert stands, or a job died",
    5: "another executor is at work here",
    6: "the machine: disk, rights",
    70: "internal error",
    130: "interrupted",
}
NEXT = {
    0: "`status` shows what is open.",
    1: "The transcript shows the failure, `why` what would run. Fix the cause, not the check; then `run` the step.",
    2: "Fix the call as the message says, or show the user the line of the plan; `validate` finds every problem.",
    3: "Wait for what the transcript names: `monitor` shows background jobs, `why` a dependency. Then `run` again.",
    4: "`monitor` names the alert or the dead job. Ask the user before you stop or rerun a training.",
    5: "Wait for the other executor: look at `status` in a while, then `run` again.",
    6: "Show the user the message: it asks for disk space or permissions. Then `run` again without a step.",
    70: "Show the user the message and the file that it names; do not work around it.",
    130: "`run` without a step continues where it stopped.",
}
READ = "`run` takes the open steps in order."
BRIEFED = "Do the work of the brief now; evidence counts, not your word. Then `resume` {task_id} and follow its `next`."
LATE = (
    "The limit of {limit_s:g} s was over, so the call was interrupted as by Ctrl-C. The same call, without `rerun`,"
    " continues; give it a longer timeout_s. A long training belongs in `mode: background`."
)
KILLED = "The command was ended by signal {signal}. The same call, without `rerun`, adopts what still runs."
INSIDE = "called from inside {task_id}, which is running: do the work of that task; its executor runs the steps"
HEAD_CHARS, TAIL_CHARS = 6_000, 14_000
MOST_JSON_CHARS = 200_000
READ_S, STOP_S = 60.0, 120.0

Step = Annotated[str, Field(coerce_numbers_to_str=True, description="which: 1 | 1-5 | 1,3,7-9 | an id | a name")]
Seconds = Annotated[float, Field(ge=0, le=86_400, description="the call is interrupted after these seconds")]
Runner = Annotated[
    str, Field(description="runner of MAIN: host (you, by a brief), agent, claude-code or command; empty: by the plan")
]
Wait = Annotated[float, Field(ge=0, description="seconds to wait for a job that a step depends on; then exit 3")]
Values = Annotated[Sequence[str], Field(description="values of parameters (settings.params), each NAME=VALUE")]
FromText = Annotated[bool, Field(description="an agent does tasks that have no definition, by their text")]
TaskId = Annotated[str, Field(description="as in a transcript or brief: task_1_0123abcd, task_T012_0123abcd")]
Strict = Annotated[bool, Field(description="accept only proven criteria, no claimed ones")]
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WORKS = ToolAnnotations(read_only_hint=False, destructive_hint=False)
ENDS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)


class Answer(TypedDict):
    """The answer of a tool; `json` where the command has it, `brief` and `task_id` where the caller has work to do."""

    exit_code: int
    meaning: str
    next: str
    transcript: str
    json: NotRequired[Any]
    task_id: NotRequired[str]
    brief: NotRequired[str]


class Tools:
    """The commands of do-tasks for the project at `start` or above it, or for the plan in a file."""

    def __init__(self, start: str, plan_file: str = "") -> None:
        self._start = start
        self._plan_file = plan_file
        self._interrupts = Interrupts()
        self._masker = masker_here(start, os.environ)

    async def run(  # noqa: PLR0913 - the options of the command line
        self,
        ctx: Context[Any, Any],
        *,
        step: Step = "",
        mode: Annotated[
            Literal["continue", "all"],
            Field(description="without step. continue: open steps until one does not pass; all: each, with a summary"),
        ] = "continue",
        rerun: Annotated[bool, Field(description="with step or all: run ticked steps again")] = False,
        force: Annotated[bool, Field(description="ignore open dependencies")] = False,
        strict: Strict = False,
        runner: Runner = "",
        wait_s: Wait = 0,
        values: Values = (),
        agent_from_text: FromText = False,
        timeout_s: Seconds = 600,
    ) -> Answer:
        """Run steps of the plan: checks, a small test, the work, validation; a box is ticked only on evidence."""
        what = f"--step={step}" if step else f"--{mode}"
        flags = {
            "--rerun": rerun,
            "--force": force,
            "--strict": strict,
            "--agent-from-text": agent_from_text,
            f"--runner={runner}": bool(runner),
        }
        words = ["run", what, f"--wait={wait_s:g}", *(flag for flag, wanted in flags.items() if wanted)]
        words += [f"--set={one}" for one in values]
        return await self._work(ctx, words, timeout_s)

    async def resume(
        self, ctx: Context[Any, Any], *, task_id: TaskId, strict: Strict = False, timeout_s: Seconds = 600
    ) -> Answer:
        """Hand in the work of a brief: do-tasks runs POST and the criteria, then ticks, or reports what is missing."""
        words = ["resume", *(["--strict"] if strict else []), "--", task_id]
        return await self._work(ctx, words, timeout_s)

    async def stop(self, ctx: Context[Any, Any], *, task_id: TaskId) -> Answer:
        """End a task and every process that it started."""
        return await self._work(ctx, ["stop", "--", task_id], STOP_S)

    async def status(self, ctx: Context[Any, Any]) -> Answer:
        """List the steps with their state and newest task id."""
        return await self._read(ctx, ["list", "--json"])

    async def why(self, ctx: Context[Any, Any], *, step: Step) -> Answer:
        """Show the phases that would run for a step, those that would not, and the reasons."""
        return await self._read(ctx, ["why", "--json", "--", step])

    async def log(
        self,
        ctx: Context[Any, Any],
        *,
        task_id: Annotated[str, Field(description="empty: the newest task")] = "",
        events: Annotated[bool, Field(description="the lines of the log as JSON, instead of the transcript")] = False,
    ) -> Answer:
        """Show the events of a task."""
        return await self._read(ctx, ["log", *(["--json"] if events else []), *(["--", task_id] if task_id else [])])

    async def monitor(self, ctx: Context[Any, Any]) -> Answer:
        """Show every background job: state, progress, metrics, time left, checkpoints, alerts."""
        return await self._read(ctx, ["monitor", "--json"])

    async def validate(self, ctx: Context[Any, Any]) -> Answer:
        """Find every problem of the plan at once, with line and fix, and checks that cannot fail."""
        return await self._read(ctx, ["validate", "--json"])

    async def brief(
        self,
        *,
        which: Annotated[str, Field(description="task id or step number; empty: the one that waits")] = "",
    ) -> Answer:
        """Show the brief of a step that waits for you."""
        try:
            given = find_brief(self._start, self._plan_file, which)
        except DoTasksError as error:
            return _answered(2, f"do-tasks: {self._shown(str(error))}")
        answer = _with_brief(_answered(3, ""), given)
        answer["json"] = given.body
        return answer

    async def _work(self, ctx: Context[Any, Any], words: list[str], limit_s: float) -> Answer:
        """Run a command that changes the plan; with exit 3 add the brief when the caller has work to do."""
        inside = os.environ.get("DO_TASKS_TASK_ID")
        if inside:
            return _answered(2, f"do-tasks: {self._shown(INSIDE.format(task_id=inside))}")
        done = await self._call(ctx, words, limit_s)
        text = self._shown(done.text)
        if done.late and done.exit_code > 128:
            return _answered(done.exit_code, text, LATE.format(limit_s=limit_s))
        wanted = person_wanted(text) if done.exit_code == 3 else ""
        if wanted:
            return _answered(3, text, wanted)
        task_id = named_in(text) if done.exit_code == 3 else ""
        if not task_id:
            move = move_after(self._start, self._plan_file, words, done.exit_code)
            return _answered(done.exit_code, text, self._shown(move))
        try:
            given = find_brief(self._start, self._plan_file, task_id)
        except UsageError:  # somebody has resumed or stopped it since
            return _answered(3, text)
        return _with_brief(_answered(3, without(text, given)), given)

    async def _read(self, ctx: Context[Any, Any], words: list[str]) -> Answer:
        """Run a command that only reads; JSON takes the place of the transcript."""
        done = await self._call(ctx, words, READ_S)
        text = self._shown(done.text)
        body = _parsed(text) if "--json" in words else None
        answer = _answered(done.exit_code, "" if body else text, READ if done.exit_code == 0 else "")
        return answer | {"json": body} if body else answer

    async def _call(self, ctx: Context[Any, Any], words: list[str], limit_s: float) -> CallResult:
        async def report(size: int, line: str) -> None:
            await ctx.report_progress(size, message=self._shown(line))

        verb, *rest = words
        where = [f"--project={self._start}", *([f"--plan={self._plan_file}"] if self._plan_file else [])]
        return await Child([verb, *where, *rest], self._interrupts).ended(limit_s, report)

    def _shown(self, text: str) -> str:
        return self._masker.mask("\n".join(map(clean_control, text.splitlines())))


def _answered(exit_code: int, text: str, move: str = "") -> Answer:
    usual = KILLED.format(signal=exit_code - 128)
    return {
        "exit_code": exit_code,
        "meaning": MEANINGS.get(exit_code, "ended by a signal"),
        "next": move or NEXT.get(exit_code, usual),
        "transcript": _clipped(text.strip("\n")),
    }


def _with_brief(answer: Answer, given: OpenBrief) -> Answer:
    move = BRIEFED.format(task_id=given.task_id)
    return answer | {"next": move, "task_id": given.task_id, "brief": given.text}


def _clipped(text: str) -> str:
    """Return the head and the tail of a text that is too long; the log has all of it."""
    left_out = len(text) - HEAD_CHARS - TAIL_CHARS
    if left_out <= 0:
        return text
    return f"{text[:HEAD_CHARS]}\n[... {left_out} characters left out; `log` has the task ...]\n{text[-TAIL_CHARS:]}"


def _parsed(text: str) -> Any:
    """Return the printed JSON object, or one object for each line; None for other or too long text."""
    if len(text) > MOST_JSON_CHARS:
        return None
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in text.splitlines()] or None
    except ValueError:
        return None


def serve(start: str, plan_file: str = "") -> None:
    """Serve the project at `start`, or the plan in a file, on stdin and stdout until stdin is closed."""
    built(Tools(start, plan_file)).run("stdio")


def built(tools: Tools) -> MCPServer[Any]:
    """Return the server with its tools."""
    reading = (tools.status, tools.why, tools.log, tools.monitor, tools.brief, tools.validate)
    rows: tuple[tuple[Callable[..., Any], ToolAnnotations], ...] = (
        *((verb, READS) for verb in reading),
        *((verb, WORKS) for verb in (tools.run, tools.resume)),
        (tools.stop, ENDS),
    )
    return MCPServer(
        "do-tasks",
        instructions=INSTRUCTIONS,
        version=__version__,
        tools=[_exact(Tool.from_function(verb, annotations=kind, structured_output=True)) for verb, kind in rows],
        log_level="ERROR",
        subscriptions=False,
    )


def _exact(tool: Tool) -> Tool:
    """Return the tool with unknown arguments refused: a misspelt `step` would run every step."""
    model = tool.fn_metadata.arg_model
    model.model_config["extra"] = "forbid"
    model.model_rebuild(force=True)
    return tool.model_copy(update={"parameters": model.model_json_schema()})
