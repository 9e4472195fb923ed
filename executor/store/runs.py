"""The folders of tasks and runs: process, end and records of each run."""

from __future__ import annotations

import json
import os

from executor.errors import MachineError
from executor.system import files, procfs, safe_open
from executor.system.folders import names_in
from executor.system.records import TYPE_CHECKING
from executor.system.run_records import Exit, Identity, RunStatus

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from typing import Any


JOBS = os.path.join(".do-tasks", "jobs")
GUARDED = "guarded"  # in a run folder: the snapshot of an agent's judges
STOPPED = "stopped by do-tasks stop"
MOST_SIGNAL = 64  # a shell returns 128 + n for signal n, but 255 is a plain exit code


def run_folder(root: str, task_id: str, run: str) -> str:
    """Return the path of a run's folder."""
    return os.path.join(root, JOBS, task_id, run)


def new_run(root: str, task_id: str, run: str) -> str:
    """Make the run's folder, empty, and return its path."""
    folder = files.claim_folder(run_folder(root, task_id, run))  # a link's target is not emptied
    for below, folders, names in os.walk(folder, topdown=False):
        for name in (*names, *folders):
            path = os.path.join(below, name)
            (os.rmdir if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)
    return folder


def newest_main(root: str, task_id: str) -> str:
    """Return the name of the task's newest MAIN run."""
    return f"main.{max(mains(root, task_id), default=0)}"


def next_main(root: str, task_id: str) -> str:
    """Return the name of the task's next MAIN run: main.1, main.2, ..."""
    return f"main.{max(mains(root, task_id), default=0) + 1}"


def main_number(run: str) -> int:
    """Return the number of a MAIN run: 2 of main.2."""
    return int(run.removeprefix("main."))


def write_started(folder: str, identity: Identity, *, command: str, digest: str) -> None:
    """Record the process and command of a run; renamed, not synced: after a power cut no process lives."""
    body = {**identity.asdict(), "command": command, "digest": digest}
    files.replace(os.path.join(folder, "started.json"), json.dumps(body).encode())


def write_task(root: str, task_id: str, body: dict[str, Any]) -> None:
    """Record step, fingerprint and current run of a task."""
    folder = files.private_folder(os.path.join(root, JOBS, task_id))
    files.replace(os.path.join(folder, "task.json"), json.dumps(body).encode())


def read_task(root: str, task_id: str) -> dict[str, Any]:
    """Return the last record of `write_task`, {} for none."""
    return safe_open.read_record(os.path.join(root, JOBS, task_id, "task.json"))


def ask_stop(root: str, task_id: str) -> None:
    """Record that a person stops this task, for the executor that watches it."""
    files.replace(os.path.join(files.private_folder(os.path.join(root, JOBS, task_id)), "stop"), b"")


def ask_end(root: str, task_id: str, *, grace_s: float) -> None:
    """Record a request that the watcher of this task end it, because its processes are out of reach from here."""
    path = os.path.join(root, JOBS, task_id, "stop")
    files.replace(path, json.dumps({"end": True, "grace_s": grace_s}).encode())


def end_asked(root: str, task_id: str) -> float | None:
    """Return the seconds between TERM and KILL when a process out of reach asks for the end, else None."""
    path = os.path.join(root, JOBS, task_id, "stop")
    body = safe_open.read_record(path) if os.path.exists(path) else {}
    grace_s = body.get("grace_s")
    return float(grace_s) if body.get("end") is True and isinstance(grace_s, (int, float)) else None


def forget_stop(root: str, task_id: str) -> None:
    """Delete the record of a stop: a person continues the task."""
    path = os.path.join(root, JOBS, task_id, "stop")
    if os.path.exists(path):
        os.unlink(path)


def stop_asked(root: str, task_id: str) -> bool:
    """Return True when a person stopped this task."""
    return os.path.exists(os.path.join(root, JOBS, task_id, "stop"))


def write_devices(root: str, task_id: str, devices: tuple[str, ...]) -> None:
    """Record the GPUs of a task, which its processes hold while they live."""
    folder = files.private_folder(os.path.join(root, JOBS, task_id))
    files.replace(os.path.join(folder, "devices.json"), json.dumps({"gpus": devices}).encode())


def read_devices(root: str, task_id: str) -> tuple[str, ...]:
    """Return the GPUs of a task, () for none."""
    found = safe_open.read_record(os.path.join(root, JOBS, task_id, "devices.json")).get("gpus")
    return tuple(map(str, found)) if isinstance(found, list) else ()


def write_exit(folder: str, end: Exit) -> None:
    """Record the end of a run whose launcher died before it could."""
    body = {"exit_code": end.exit_code, "signal": end.signal, "by_us": end.by_us}
    files.replace(files.clear_place(os.path.join(folder, "exit.json")), (json.dumps(body) + "\n").encode())


def started(folder: str) -> Identity | None:
    """Return the process of a run, None when none was started."""
    body = safe_open.read_record(os.path.join(folder, "started.json"))
    try:
        known = Identity(int(body["pid"]), int(body["start"]), str(body["boot"]), str(body["machine"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    namespace, home = str(body.get("namespace") or ""), str(body.get("home") or "")
    return known.replace(namespace=namespace, home=home, locked=body.get("locked") is True)


def digest_of(folder: str) -> str:
    """Return the fingerprint of MAIN at the start of a run, empty when it was not started."""
    return str(safe_open.read_record(os.path.join(folder, "started.json")).get("digest") or "")


def began_ns(folder: str) -> int:
    """Return the time of a run's record, on the clock of the file system (nanoseconds), 0 for none.

    The record of a run by a host agent is its brief.
    """
    for name in ("started.json", "brief.json"):
        try:
            return os.stat(os.path.join(folder, name)).st_mtime_ns
        except OSError:
            continue
    return 0


def exit_of(folder: str) -> Exit | None:
    """Return the end of a run; None while it runs, and for a record that is not complete."""
    path = os.path.join(folder, "exit.json")
    body = safe_open.read_record(path)
    if not body:
        return None
    ended_ns = os.stat(path).st_mtime_ns
    if body.get("ran") is False:
        return Exit(None, ran=False, ended_ns=ended_ns)
    code, number = _whole(body.get("exit_code")), _whole(body.get("signal")) or 0
    if code is not None and 128 < code <= 128 + MOST_SIGNAL and not number:
        return Exit(code, signal=code - 128, ended_ns=ended_ns)
    return Exit(code, signal=number, by_us=bool(body.get("by_us")), ended_ns=ended_ns)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def newest_status(root: str, task_id: str) -> RunStatus:
    """Return the status of the newest MAIN run of a task."""
    newest = max(mains(root, task_id), default=0)
    if not newest:
        return RunStatus()
    folder = run_folder(root, task_id, f"main.{newest}")
    return status_of(root, task_id, f"main.{newest}").replace(digest=digest_of(folder))


def status_of(root: str, task_id: str, run: str) -> RunStatus:
    """Return the status of a run; the process is examined first, since it writes the exit file last."""
    folder = run_folder(root, task_id, run)
    identity = launcher_of(root, task_id, run)
    if identity is None:  # an incomplete record is left by a power cut: MAIN may have run
        return RunStatus(run, "lost" if os.path.exists(os.path.join(folder, "started.json")) else "never_ran")
    living = procfs.is_on_this_host(identity) and procfs.is_alive(identity)
    end = exit_of(folder)
    if end is not None:
        return RunStatus(run, "exited" if end.ran else "never_ran", end.exit_code, identity.pid)
    from executor.store import run_location

    status, where = run_location.of(root, f"{task_id}/{run}", identity, living=living)
    return RunStatus(run, status, pid=identity.pid, where=where)


def launcher_of(root: str, task_id: str, run: str) -> Identity | None:
    """Return the launcher of a run by its record; by its living processes when the record cannot be read."""
    folder = run_folder(root, task_id, run)
    known = started(folder)
    if known or not os.path.exists(os.path.join(folder, "started.json")):
        return known
    from executor.store import run_location

    return run_location.launcher_of(root, f"{task_id}/{run}")


def living_run(root: str, task_id: str, *, before: str = "") -> str:
    """Return a run of the task whose lock a living process holds, empty for none.

    `before` is the run that is to start, which does not count.
    """
    from executor.system import run_lock

    named = [f"main.{number}" for number in mains(root, task_id)]
    held = [run for run in named if run != before and run_lock.is_held(run_folder(root, task_id, run))]
    return held[-1] if held else ""


def refuse_second_run(root: str, task_id: str, *, before: str = "") -> None:
    """Raise MachineError while a process of another run of this task is alive."""
    run = living_run(root, task_id, before=before)
    if not run:
        return
    from executor.system import run_processes

    found = run_processes.find_living(run_processes.ProcessQuery(f"{task_id}/{run}", root))
    which = f"pid {', '.join(map(str, sorted(found)))}" if found else "of another user, host or container"
    error = f"{task_id}/{run} lives on ({which}), so no second one is begun"
    raise MachineError(f"{error}; end it: do-tasks stop {task_id}, then go on")


def write_job(root: str, task_id: str, body: dict[str, Any]) -> None:
    """Record the facts that a supervisor needs: the step as it was written, settings, fingerprint, title.

    Synced: after a power cut the log may have the start of the job, which needs this record.
    """
    folder = files.private_folder(os.path.join(root, JOBS, task_id))
    files.replace(files.clear_place(os.path.join(folder, "job.json")), json.dumps(body).encode(), durable=True)


def read_job(root: str, task_id: str) -> dict[str, Any]:
    """Return the record of `write_job`, {} for a task that is no job."""
    return safe_open.read_record(os.path.join(root, JOBS, task_id, "job.json"))


def write_watch(root: str, task_id: str, body: dict[str, Any]) -> None:
    """Write the status that the supervisor shows to readers."""
    files.replace(os.path.join(root, JOBS, task_id, "watch.json"), json.dumps(body).encode())


def is_job(root: str, task_id: str) -> bool:
    """Return True for a task that was started as a background job."""
    return bool(task_id) and os.path.exists(os.path.join(root, JOBS, task_id, "job.json"))


def read_watch(root: str, task_id: str) -> dict[str, Any]:
    """Return the last status of the supervisor, {} before its first."""
    return safe_open.read_record(os.path.join(root, JOBS, task_id, "watch.json"))


def read_memory(root: str, task_id: str) -> dict[str, Any]:
    """Return the memory of a job's probes and rules; {} after a reboot, which begins another clock."""
    body = safe_open.read_record(os.path.join(root, JOBS, task_id, "memory.json"))
    same_boot = body.get("boot") == procfs.boot_id()
    return {name: one for name, one in body.items() if isinstance(one, dict)} if same_boot else {}


def write_memory(root: str, task_id: str, body: dict[str, Any]) -> None:
    """Write the memory of probes and rules, for the next supervisor."""
    kept = {**body, "boot": procfs.boot_id()}
    files.replace(os.path.join(root, JOBS, task_id, "memory.json"), json.dumps(kept, default=str).encode())


def job_lock(root: str, task_id: str) -> str:
    """Return the path of the lock that the one supervisor of a job holds."""
    return os.path.join(root, JOBS, task_id, "lock")


def supervisor(root: str, task_id: str) -> str:
    """Return the pid of the supervisor that watches a job now, empty for none."""
    from executor.system import locks

    return locks.holder_pid(job_lock(root, task_id))


def has_snapshot(root: str, task_id: str) -> bool:
    """Return True when the newest MAIN of a task has a snapshot of its judges, as only an agent's has."""
    return os.path.isdir(os.path.join(run_folder(root, task_id, newest_main(root, task_id)), GUARDED))


def living_tasks(root: str, known: AbstractSet[str] = frozenset()) -> list[str]:
    """Return the ids of tasks with a run that is alive here, but for the known ones; folders are read, not the log."""
    others = set(names_in(os.path.join(root, JOBS))) - known
    return sorted(task_id for task_id in others if newest_status(root, task_id).status == "alive")


def mains(root: str, task_id: str) -> list[int]:
    """Return the numbers of a task's MAIN runs, unsorted."""
    folder = os.path.join(root, JOBS, task_id)
    return [int(name[5:]) for name in names_in(folder) if name.startswith("main.") and name[5:].isdecimal()]
