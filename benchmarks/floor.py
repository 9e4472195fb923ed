"""The bash floor: the processes and syncs that a durable run owes, with nothing around them."""

from __future__ import annotations

import os
import sys
import threading

BASH = ("/bin/bash", "-o", "pipefail", "-c")
LAUNCHER = ("/bin/sh", "-c", './main.sh "$@"; exit $?', "launcher")
LINE = b'{"event":"' + b"x" * 244 + b'"}\n'
TEST = {**os.environ, "DO_TASKS_TEST": "1"}


def together(*children: int) -> None:
    for pid in children:
        if os.waitpid(pid, 0)[1]:
            raise SystemExit(1)


def bash(command: str) -> int:
    return os.posix_spawn(BASH[0], [*BASH, command], os.environ)


def launch(environ: dict[str, str], *args: str) -> int:
    return os.posix_spawn(LAUNCHER[0], [*LAUNCHER, *args], environ)


def recorded(log: int) -> None:
    os.write(log, LINE)
    os.fdatasync(log)


def replaced(spec: bytes) -> None:
    beside = os.open(".SPEC.md.new", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.write(beside, spec)
    os.fsync(beside)
    os.close(beside)
    os.rename(".SPEC.md.new", "SPEC.md")
    folder = os.open(".", os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def main(first: int, last: int, before: int, after: int, check: str, jobs: int = 1) -> None:
    """Run these steps, `jobs` at a time; the check "marks" stands for commands that each leave a mark."""

    def command(kind: str, step: int, number: int) -> str:
        if check == "marks":
            return f"echo {kind}{step}_{number} >> marks"
        return check if kind == "p" else "true"

    log = os.open(".task_execution.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    with open("SPEC.md", "rb") as file:
        spec = file.read()
    ticking, left = threading.Lock(), iter(range(first, last + 1))

    def run(step: int) -> None:
        together(*(bash(command("p", step, number)) for number in range(before)))
        together(launch(TEST, str(step), "--test"))
        recorded(log)
        together(launch(dict(os.environ), str(step)))
        recorded(log)
        together(*(bash(command("q", step, number)) for number in range(after)))
        recorded(log)
        with ticking:
            replaced(spec)
        recorded(log)

    def work() -> None:
        for step in iter(lambda: next(left, None), None):
            run(step)

    threads = [threading.Thread(target=work) for _ in range(jobs if jobs > 1 else 0)]
    for thread in threads:
        thread.start()
    for thread in threads or ():
        thread.join()
    work()


if __name__ == "__main__":
    first, last, before, after = map(int, sys.argv[1:5])
    main(first, last, before, after, sys.argv[5], int(sys.argv[6]))
