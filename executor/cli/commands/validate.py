"""`validate`: every problem of the plan at once; warnings do not change the exit code."""

from __future__ import annotations

import os

from executor.cli.judge_notes import unprotected
from executor.cli.options import JSON
from executor.cli.output.screen import print_json
from executor.cli.validate_notes import of_spec, too_many, uncovered
from executor.engine.step_facts import beyond_this_version
from executor.errors import DefinitionError, Problem, SpecError
from executor.monitoring.notices import notify_checks
from executor.monitoring.preflight import sightless
from executor.plan import env_files
from executor.plan.issues import ValidationIssue
from executor.plan.lint.agents import is_for_agent, lint_agent
from executor.plan.lint.proof import lint_proof
from executor.plan.plan import read_plan, validate
from executor.plan.spec import spec_md
from executor.store import claude_files, interpreter, plan_source, project, spec_file
from executor.system import safe_open
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING
from executor.system.secret_names import is_secret_name
from executor.system.text import clean_control, counted

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from executor.plan.lint.checks import ReadScript
    from executor.plan.model import Settings, Step
    from executor.plan.plan import Plan
    from executor.plan.spec.spec_md import Box
    from executor.plan.step_ids import StepId

SCRIPT_MOST = 1 << 20


OPTIONS = (JSON,)


def run(args: Namespace) -> Verdict:
    """Print the problems in file order; return INVALID when one is an error."""
    here = project.find_for(args.plan, args.project)
    project.refuse_undefined(here)
    data = project.definitions(here)

    def read_script(script: str) -> str | None:
        path = project.script_path(here, script)
        return safe_open.read_start(path, SCRIPT_MOST).decode("utf-8", "replace") if path else None

    def doubts(step: Step, settings: Settings) -> Iterator[ValidationIssue]:
        yield from lint_agent(step, settings)
        yield from lint_proof(step, settings)
        yield from _unsupported(step, settings)
        yield from _agent_files(here.root, step, settings)
        yield from _env_files(here.root, step)
        yield from uncovered(here, step)
        yield from too_many(here, step)
        yield from unprotected(here, step, settings)
        yield from _blind_monitors(here, step, settings, read_script)

    def of_settings(settings: Settings, written: object) -> Iterator[ValidationIssue]:
        yield from _notifiers(here.root, settings, written)
        yield from _log_processors(here.root, settings)
        yield from _secret_params(settings)

    found = validate(data, file=here.definitions, read_script=read_script, doubts=doubts, of_settings=of_settings)
    problems = [*found]
    if not any(problem.severity == "error" for problem in problems):
        plan = read_plan(data, file=here.definitions)
        project.remember_valid(here, data, plan)
        problems += _spec_problems(here, plan_source.with_tasks(here.root, plan, here.named))
    return _report(problems, as_json=args.json, warning=here.warning)


def _unsupported(step: Step, settings: Settings) -> Iterator[ValidationIssue]:
    """Yield a warning for a valid MAIN that this version cannot run."""
    reason = beyond_this_version(step.main, settings) if step.main else ""
    if reason:
        yield ValidationIssue(("main",), reason, severity="warning")


def _notifiers(root: str, settings: Settings, written: object) -> Iterator[ValidationIssue]:
    """Yield the faults of notifiers that no environment mends."""
    listed = isinstance(written, dict) and isinstance(written.get("notify"), list)
    for place, one in enumerate(settings.notify):
        fault = notify_checks.written_trouble(one, root=root, environ=os.environ)
        if fault:
            yield ValidationIssue(("notify", place) if listed else ("notify",), fault, severity="warning")


def _log_processors(root: str, settings: Settings) -> Iterator[ValidationIssue]:
    """Yield the log processors that cannot be imported or fail on a sample event."""
    if settings.log_processors:
        from executor.store.log_processors import trouble

        for place, fault in trouble(root, settings.log_processors):
            yield ValidationIssue(("log_processors", place), fault)


def _secret_params(settings: Settings) -> Iterator[ValidationIssue]:
    """Yield a warning for each parameter that is called like a secret: its value stands in the log."""
    for name in filter(is_secret_name, settings.params or ()):
        message = "is no place for a secret, its value stands in the log: use a variable, and env_set to check it"
        yield ValidationIssue(("params", name), message, severity="warning")


def _env_files(root: str, step: Step) -> Iterator[ValidationIssue]:
    """Yield the unreadable lines of env files; a missing file is a warning, as it may exist where the step runs."""
    found = env_files.load(root, step.main.env_file if step.main else (), os.environ)
    for fault in found.trouble:
        yield ValidationIssue(("main", "env_file"), fault, severity="warning" if fault in found.missing else "error")


def _agent_files(root: str, step: Step, settings: Settings) -> Iterator[ValidationIssue]:
    """Yield the faults of an agent's role and skills that PRE-FLIGHT would report."""
    main = step.main
    if main is None or not is_for_agent(main, settings):
        return
    listed = main.skills
    try:
        role = claude_files.role_of(root, main.agent or claude_files.USUAL_ROLE)
        listed = listed if listed is not None else role.skills or None
    except DefinitionError as error:
        yield from (ValidationIssue(("main", "agent"), str(one), severity="warning") for one in error.problems)
    fault = _fault_of_skills(root, listed)
    if fault:
        yield ValidationIssue(("main", "skills" if main.skills is not None else "agent"), fault, severity="warning")


def _fault_of_skills(root: str, listed: tuple[str, ...] | None) -> str:
    try:
        return claude_files.skills_of(root, listed)[1]
    except DefinitionError as error:
        return str(error)


def _blind_monitors(
    here: project.Project, step: Step, settings: Settings, read_script: ReadScript
) -> Iterator[ValidationIssue]:
    """Yield the monitors that can see nothing, for which PRE-FLIGHT of a job fails."""
    if not step.is_job:
        return
    python = interpreter.find(here.root, settings.python, os.environ)
    path = os.pathsep.join((os.path.dirname(python.path), os.environ.get("PATH", os.defpath)))
    script = (read_script(step.main.script) or "") if step.main and step.main.script else ""
    for place, _, reason in sightless(step.background, here.root, around=f"{script} {step.words_of_main}", path=path):
        message = f"can see nothing, so the job is not started: {reason}"
        yield ValidationIssue(("background", place), message, severity="warning")


def _spec_problems(here: project.Project, plan: Plan) -> list[Problem]:
    """Return the differences of SPEC.md and the definitions; a plan of another tool has `lint`."""
    if plan.tasks is not None:
        text = "{0} is no task of {1}; see: do-tasks list --plan {1}"
        strange = [number for number in plan.numbers if number not in plan.tasks.tasks]
        messages = [text.format(number, plan.settings.plan) for number in strange]
        return [Problem(here.definitions, one, severity="warning") for one in messages]
    try:
        text_now = spec_file.read(here.spec)
        known: dict[StepId, Box] = {}
        for box in spec_md.boxes(text_now):
            if box.number in known:
                spec_md.find(text_now, box.number)
            known[box.number] = box
    except SpecError as error:
        return [Problem(project.SPEC_NAME, str(error).removeprefix(f"{project.SPEC_NAME} "))]
    missing = [number for number in plan.numbers if number not in known]
    near = spec_md.near_misses(text_now) if missing else {}
    text = "step {0} is defined but has no line here; add it with: do-tasks --step {0} --append"
    messages = [near.get(number) or text.format(number) for number in missing]
    return [*(Problem(project.SPEC_NAME, one, severity="warning") for one in messages), *of_spec(here, plan, known)]


def _report(problems: list[Problem], *, as_json: bool, warning: str) -> Verdict:
    errors = [problem for problem in problems if problem.severity == "error"]
    if as_json:
        print_json({"valid": not errors, "problems": [vars(problem) for problem in problems]})
    else:
        for line in ([f"warning: {warning}"] if warning else []) + [str(problem) for problem in problems]:
            print(clean_control(line))
        counts = {kind: sum(one.severity == kind for one in problems) for kind in ("error", "warning", "note")}
        shown = [counted(count, kind) for kind, count in counts.items() if count or kind != "note"]
        print(f"{'not valid' if errors else 'valid'}: {', '.join(shown)}")
    return Verdict.INVALID if errors else Verdict.PASSED
