"""The secrets of a project, from environment, `notify`, env files and living jobs; masks the files of runs."""

from __future__ import annotations

import os
from json import loads

from executor.errors import DoTasksError, MachineError
from executor.plan import env_files
from executor.plan.plan import from_cache
from executor.store import project, runs
from executor.system import files, folders, procfs, safe_open
from executor.system.masking import Masker
from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import longest_first, secrets_of, secrets_of_env_file, secrets_of_urls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from executor.plan.model import Settings, Step
    from executor.plan.plan import Plan

RESULT = "result.json"
RESULT_WORDS = ("criteria", "metrics", "met", "evidence", "note", "progress")  # keys of a result file


def notify_names(settings: Settings) -> tuple[str, ...]:
    """Return the variables that hold URLs of notifiers: secrets under any name."""
    return tuple(one.target for one in settings.notify if one.kind == "env")


def of_plan(plan: Plan, root: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets of an environment, of the notifiers of a plan, and of its env files, the longest first."""
    named = notify_names(plan.settings)
    urls = [environ.get(name, "") for name in named]
    urls += [one.target for one in plan.settings.notify if one.kind == "url"]
    paths = [path for number in plan.numbers for path in env_files.named_in(plan.raw[number][1])]
    kept = [env_files.load(root, [path], environ).values for path in dict.fromkeys(paths)]
    of_files = [one for values in kept for one in secrets_of_env_file(values)]
    return longest_first([*secrets_of(environ), *secrets_of_urls(filter(None, urls)), *of_files])


def masker_of(plan: Plan, root: str, environ: Mapping[str, str]) -> Masker:
    """Return the masker for the secrets of a plan."""
    return Masker(of_plan(plan, root, environ))


def masker_here(root: str, environ: Mapping[str, str], *task_ids: str) -> Masker:
    """Return the masker of a project for a command that reads; a plan that cannot be read adds no secrets.

    It also masks the secrets in the environments of these tasks: the reader's environment may differ.
    """
    plan = _plan_here(root)
    found = {*(of_plan(plan, root, environ) if plan else secrets_of(environ))}
    for task_id in task_ids:
        own = _plan_of_job(root, task_id) or plan
        for given in (environ, *_given(root, task_id)):
            found.update(of_plan(own, root, given) if own else secrets_of(given))
    return Masker(longest_first(found))


def of_process(plan: Plan, root: str, pid: int) -> tuple[str, ...]:
    """Return the secrets of a plan that a living process was given."""
    return of_plan(plan, root, environment_of(pid))


def _plan_here(root: str) -> Plan | None:
    try:
        return project.known_plan(project.find(root))
    except DoTasksError:
        return None


def _plan_of_job(root: str, task_id: str) -> Plan | None:
    try:
        return from_cache(runs.read_job(root, task_id)["plan"])
    except (KeyError, TypeError, ValueError, AttributeError, DoTasksError):
        return None


def _given(root: str, task_id: str) -> Iterator[dict[str, str]]:
    """Yield the environments of a job's launcher and of its supervisor, as far as they may be read."""
    launcher = runs.launcher_of(root, task_id, runs.newest_main(root, task_id))
    supervisor = runs.supervisor(root, task_id)
    living = [launcher.pid] if launcher and procfs.is_alive(launcher) else []
    for pid in (*living, *([int(supervisor)] if supervisor.isdigit() else ())):
        yield environment_of(pid)


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment of a process, empty where it may not be read."""
    words = [os.fsdecode(word).partition("=") for word in procfs.environ(pid)]
    return {name: value for name, _, value in words if name}


def mask_file(path: str, masker: Masker) -> bool:
    """Mask a regular file in place, a block at a time; return True when something was masked."""
    if not masker or not os.path.lexists(path):
        return False
    return files.mask_in_place(path, masker.mask_bytes_equal_length)


def mask_result(path: str, masker: Masker, spare: Iterable[str] = ()) -> bool:
    """Mask a result file; it stays JSON and keeps its numbers. Texts in `spare` are public and are not masked.

    A file that is not JSON is masked as any other.
    """
    text = _json_text(path) if masker else None
    if text is None:
        return mask_file(path, masker)
    masked = masker.mask_json(text, (*RESULT_WORDS, *spare))
    if masked != text:
        files.replace(path, masked.encode("utf-8", "surrogatepass"))
    return masked != text


def mask_task(root: str, task_id: str, masker: Masker, *, spare: Iterable[str] = (), sparing: str = "") -> None:
    """Mask the files of a task's ended runs and checks whose watcher died; `sparing` names a living run."""
    for below, _, names in folders.walk(os.path.join(root, runs.JOBS, task_id)) if masker else ():
        for name in names if not sparing or os.path.basename(below) != sparing else ():
            if name.endswith((".log", ".err")):
                mask_file(os.path.join(below, name), masker)
            elif name == RESULT:
                mask_result(os.path.join(below, name), masker, spare)


def mask_results(root: str, task_id: str, masker: Masker, spare: Iterable[str] = ()) -> bool:
    """Mask the result files of all runs of a task, once they are judged; return True when something was masked."""
    found = folders.walk(os.path.join(root, runs.JOBS, task_id)) if masker else ()
    paths = [os.path.join(below, RESULT) for below, _, names in found if RESULT in names]
    return sum(mask_result(path, masker, spare) for path in paths) > 0


def public_names(step: Step) -> tuple[str, ...]:
    """Return the names of criteria and metrics in a step, which are public in the plan."""
    criteria = step.main.criteria if step.main else ()
    asked = [one.asks for one in criteria if one.kind in ("metric", "result")]
    named = [one.get("name") if isinstance(one, dict) else one for one in asked]
    return (*(one.text for one in criteria), *(one for one in named if isinstance(one, str)))


def _json_text(path: str) -> str | None:
    """Return the text of a JSON file that is no link, None for all else."""
    if os.path.islink(path):
        return None
    try:
        text = safe_open.read_whole(path).decode("utf-8", "strict")
        loads(text)
    except (OSError, ValueError, RecursionError, MachineError):
        return None
    return text
