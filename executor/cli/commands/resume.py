"""`resume`: check the work that an agent did for a brief, and tick the step on evidence."""

from __future__ import annotations

from executor.cli import next_command, session
from executor.cli.options import JSON_BESIDE, STRICT, VERBOSE, option
from executor.cli.output.summary import print_report, print_reports
from executor.errors import UsageError
from executor.guard import brief_gate
from executor.plan.step_ids import TASK
from executor.store import project
from executor.store.context import Invocation
from executor.store.fingerprint import main_digest
from executor.system.records import TYPE_CHECKING
from executor.system.text import clean_control

if TYPE_CHECKING:
    from argparse import Namespace

    from executor.cli.output.screen import Screen
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.store.project_view import ProjectView
    from executor.system.outcome import Verdict

OPTIONS = (option("task_id", help="as in the brief"), STRICT, JSON_BESIDE, VERBOSE)


def run(args: Namespace) -> Verdict:
    """Run POST and the criteria, then tick the step, or print what is missing and wait again."""
    here = project.find_for(args.plan, args.project)
    with session.locked(here, "resume", as_json=args.json) as screen:
        asked = next_command.remembered(here.root, args.task_id)
        here = here.replace(agent_from_text=bool(asked and asked.agent_from_text))
        view = session.view(here, strict=args.strict or bool(asked and asked.strict))
        view.follow_numbers(view.boxes())
        called = Invocation(next_command.words_of(asked) if asked else (), args.project)
        with session.opened(view, screen, verbose=args.verbose, invocation=called) as context:
            return _resumed(context, args, asked, screen)


def _resumed(context: RunContext, args: Namespace, asked: Namespace | None, screen: Screen) -> Verdict:
    from executor.engine.finish import report_passed, resume
    from executor.system.outcome import Verdict

    brief_gate.refuse_changed(context)
    number = _number(context, args.task_id)
    context.interrupts.listen()
    passed = context.state(number).verdict == "passed"
    report = report_passed(context, number) if passed else resume(context, number)
    print_report(context, report, screen)
    if context.plan.settings.commit and context.state(number).verdict == "passed" and report.outcome.passed:
        from executor.runners.commit import commit

        screen.print(clean_control(commit(context, number, report.task_id or args.task_id, report.title)))
    cut = report.outcome.verdict == Verdict.INTERRUPTED
    move = next_command.of_resume(context, number, args.task_id, asked, args.project, interrupted=cut)
    if move.text:
        screen.print(clean_control(context.masker.mask(move.text)))
    if args.json:
        print_reports(context, [report], [], move=move.command)
    return report.outcome.verdict


def _number(view: ProjectView, task_id: str) -> StepId:
    """Return the step of a task that waits for the answer to its brief, or has passed; UsageError for any other."""
    number = next((number for number, state in view.states.items() if state.task_id == task_id), -1)
    state = view.state(number)
    if not TASK.fullmatch(task_id) or not view.plan.defines(number):
        raise UsageError(f"{clean_control(task_id)} is not the newest task of a step here; see: do-tasks list")
    if state.verdict == "passed":
        return number
    if state.verdict != "waiting":
        verdict = state.verdict or "still running"
        raise UsageError(f"{task_id} has no open brief: it is {verdict}; see: do-tasks why {number}")
    if main_digest(view, view.step(number), like=state.digest) != state.digest:
        raise UsageError(f"MAIN has changed since the brief; for a new brief: do-tasks --step {number} --rerun")
    return number
