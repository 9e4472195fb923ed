"""All secrets that are known of a project: of the environment, of `notify`, of env files, of jobs that live."""

from __future__ import annotations

import os

from executor.errors import DoTasksError
from executor.plan import env_files
from executor.plan.plan import from_cache
from executor.store import project, runs
from executor.system import procfs
from executor.system.masking import Masker
from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import longest_first, secrets_of, secrets_of_env_file, secrets_of_urls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from executor.plan.model import Settings
    from executor.plan.plan import Plan


def notify_names(settings: Settings) -> tuple[str, ...]:
    """Return the variables that hold URLs of notifiers: secrets, whatever they are called."""
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
    """Return what masks the secrets of a plan."""
    return Masker(of_plan(plan, root, environ))


def masker_here(root: str, environ: Mapping[str, str], *task_ids: str) -> Masker:
    """Return what masks the secrets of a project for who only reads; plans that cannot be read add nothing.

    Of the tasks named it also knows what their own processes were given: a reader's environment may be another one.
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
