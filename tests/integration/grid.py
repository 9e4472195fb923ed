"""A program: puts odd things in the place of one record of a project, then takes each verb to it.

`grid.py TEMPLATE SCRATCH` reads a JSON list of record, kind and verb a line, and prints what became of it.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import sys
import time
from importlib import import_module
from pathlib import Path

HUGE = 1 << 30  # bytes of a sparse file
MOST_MEMORY = 2 << 30  # bytes that a verb may map
PATIENCE_S = 120.0
NO_RIGHTS = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
DEEP = 200_000


def odd_folder(path):
    path.mkdir()
    (path / "inside").write_text("x")


def odd_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # the name of a socket has 108 bytes at most
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(here)


def odd_unreadable(path):
    path.write_text("{}")
    path.chmod(0)


def odd_huge(path):
    with path.open("wb") as file:
        file.truncate(HUGE)


def weird(path, before):
    """Keep the names of a record, give each value a kind that does not belong there."""
    try:
        body = json.loads(before)
    except ValueError:
        body = {}
    odd = [[1], {"a": []}, "word", None, -1, 1e308, 10**400, True]
    names = body if isinstance(body, dict) else {}
    path.write_text(json.dumps({name: odd[number % len(odd)] for number, name in enumerate(names)}))


KINDS = {
    "folder": lambda path, _: odd_folder(path),
    "fifo": lambda path, _: os.mkfifo(path),
    "socket": lambda path, _: odd_socket(path),
    "zero": lambda path, _: path.symlink_to("/dev/zero"),
    "null": lambda path, _: path.symlink_to("/dev/null"),
    "full": lambda path, _: path.symlink_to("/dev/full"),
    "loop": lambda path, _: path.symlink_to(path.name),
    "dangling": lambda path, _: path.symlink_to("nowhere/at/all"),
    "unreadable": lambda path, _: odd_unreadable(path),
    "closed_folder": lambda path, _: (path.mkdir(), path.chmod(0)),
    "empty": lambda path, _: path.write_bytes(b""),
    "binary": lambda path, _: path.write_bytes(bytes(range(256)) * 40),
    "huge": lambda path, _: odd_huge(path),
    "deep_json": lambda path, _: path.write_bytes(b"[" * DEEP + b"\n"),
    "deep_object": lambda path, _: path.write_bytes(
        b'{"event": "TaskStarted", "a": ' * 900 + b"1" + b"}" * 900 + b"\n"
    ),
    "deep_yaml": lambda path, _: path.write_text("".join(f"{' ' * at}a:\n" for at in range(2000))),
    "latin": lambda path, before: path.write_bytes(before + b"\n\xe4\xf6\xfc \xff\n"),
    "half": lambda path, before: path.write_bytes(before[: len(before) // 2]),
    "list": lambda path, _: path.write_text("[]\n"),
    "number": lambda path, _: path.write_text("9" * 5000 + "\n"),
    "weird": weird,
    "surrogate": lambda path, _: path.write_text('{"a": "\\ud800", "task_id": "\\ud800", "event": "StepPassed"}\n'),
    "gone": lambda _, __: None,
}


def put(path, kind):
    """Put this kind of thing in the place of what is there."""
    before = path.read_bytes() if path.is_file() else b""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    KINDS[kind](path, before)


def drop_rights():
    """Let modes bind this process, root's too."""
    import ctypes

    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    for capability in NO_RIGHTS:
        for at in range(3):
            data[at] &= ~(1 << capability)
    libc.capset(header, data)


def child(words, root, scratch):
    """Run one command line in this process and leave with its exit code."""
    os.setsid()
    drop_rights()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = os.open(f"{scratch}/out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0), os.dup2(out, 1), os.dup2(out, 2)
    os.chdir(root)
    os.environ["TMPDIR"] = f"{scratch}"
    from executor.cli import main as cli

    code = 71
    try:
        code = cli.main(words)
        sys.stdout.flush()
    except SystemExit as stop:
        code = stop.code
    finally:
        os._exit(code if isinstance(code, int) else 72)


def left(root):
    """Return the processes that work in this folder."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes()
                there = os.readlink(f"/proc/{name}/cwd")
            except OSError:
                continue
            if root.encode() in words or there == root:
                found.append(int(name))
    return found


def take(words, root, scratch):
    """Return the exit code of one command line, -9 for one that had to be killed, with the seconds it took."""
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        child(words, root, scratch)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - began
        if time.monotonic() - began > PATIENCE_S:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return -9, time.monotonic() - began
        time.sleep(0.002)


def bug_of(scratch):
    """Return the last lines of the report of a bug, empty without one."""
    found = sorted(Path(scratch).glob("do-tasks-bug-*"))
    told = found[0].read_text(errors="replace").splitlines()[-7:] if found else []
    for path in found:
        path.unlink()
    return told


def case(template, scratch, record, kind, verb):
    """Take a verb to a fresh copy of the project in which a record is of this kind."""
    root = f"{scratch}/p"
    shutil.copytree(template, root, symlinks=True)
    put(Path(root, record), kind)
    code, took_s = take(verb.split(" "), root, scratch)
    for pid in left(root):
        os.kill(pid, signal.SIGKILL)
    for below, folders, _ in os.walk(root):
        for name in folders:
            if not os.path.islink(os.path.join(below, name)):
                os.chmod(os.path.join(below, name), 0o700)
    shutil.rmtree(root)
    said = Path(scratch, "out").read_text(errors="replace")
    bug = bug_of(scratch) or (["Traceback"] if "do-tasks" in said and "Traceback" in said else [])
    return {"record": record, "kind": kind, "verb": verb, "code": code, "s": round(took_s, 1), "bug": bug, "said": said}


COMMANDS = ("cli.commands.run", "cli.commands.list", "cli.commands.why", "cli.commands.monitor")


def main(template, scratch):
    for name in ("cli.main", *COMMANDS, "engine.step", "plan.plan", "store.context"):
        import_module(f"executor.{name}")
    for line in sys.stdin:
        print(json.dumps(case(template, scratch, *json.loads(line))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
