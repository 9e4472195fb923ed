"""Holds the containment of an agent's shell to its word, with the real bubblewrap."""

from __future__ import annotations

import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from executor.errors import MachineError
from executor.guard.mounts import Containment, View, contained_argv
from executor.guard.sandbox import _problem, find_containment
from executor.system import files, installation, procfs
from tests.integration.projects import ROOT, until

PATH = os.environ["PATH"]
HERE = find_containment("auto", network=False, path=PATH)
held_in = pytest.mark.skipif(HERE.kind == "none", reason=HERE.why)
ONCE = "do-tasks-sandbox-test"
HOLDS = """\
import os, sys
sys.path.insert(0, {house!r})
from executor.system import process
from executor.system.interrupts import Interrupts
from executor.guard.mounts import contained_argv
from executor.guard.sandbox import find_containment
from executor.system.process_loop import ProcessLoop
root, token = sys.argv[1:]
held = find_containment("required", network=False, path=os.environ["PATH"])
wait = ("/bin/sh", "-c", "(setsid sleep 300 & sleep 300 & echo up >up; wait)")
argv = contained_argv(held, wait, root=root, scratch=root + "/.do-tasks/run/scratch", home="")
watch = ProcessLoop(Interrupts())
watch.add(process.start(process.Command(name="a", argv=argv, env=dict(os.environ), token=token, limit_s=300)))
while not watch.turn():
    pass
"""

HOLDS_ITSELF = """\
import os, sys
root = {house!r}
sys.path.insert(0, root)
from executor.guard.mounts import contained_argv
from executor.guard.sandbox import find_containment
held = find_containment("required", network=False, path=os.environ["PATH"])
argv = contained_argv(held, ("/bin/touch", "executor/a"), root=root, scratch=root + "/.do-tasks/run/scratch", home="")
os.spawnv(os.P_WAIT, argv[0], argv)
"""


class Held:
    """A project in a folder, its home beside it, commands in it held in."""

    def __init__(self, folder, name="project"):
        self.home = folder / "home"
        self.root = folder / name
        self.scratch = self.root / ".do-tasks" / "jobs" / "task_1_00000000" / "main.1" / "scratch"
        for made in (self.root, self.home):
            made.mkdir(parents=True, exist_ok=True)
        (self.root / "SPEC.md").write_text("- [ ] **STEP 1**: a\n")
        self.network = False
        self.more = {"read_only": ("SPEC.md", "tests/**", "not/there")}

    def argv(self, *words):
        held = HERE.replace(network=self.network)
        places = {"root": str(self.root), "scratch": str(self.scratch), "home": str(self.home)}
        return contained_argv(held, words, **{**places, **self.more})

    def run(self, text):
        argv = self.argv("/bin/bash", "-c", text)
        env = {"PATH": PATH, "HOME": str(self.home), "LC_ALL": "C"}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300, check=False, cwd="/")
        return done.stdout + done.stderr

    def write(self, name, text=""):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def held(tmp_path):
    return Held(tmp_path)


@pytest.fixture
def server():
    """A server on 127.0.0.1 of this machine; its port."""
    one = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=one.serve_forever)
    thread.start()
    yield one.server_address[1]
    one.shutdown()
    thread.join()
    one.server_close()


def program(folder, text):
    """A bwrap of our own on a PATH of its own."""
    path = folder / "bin" / "bwrap"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return Containment("bubblewrap", network=False, program=str(path))


# What there is


def test_off_is_none_and_says_who_said_so():
    assert find_containment("off", network=False, path=PATH) == Containment(why="sandbox: off")


def test_no_containment_leaves_the_command_as_it_is(tmp_path):
    argv = ("/bin/true", "a b")
    assert contained_argv(Containment(), argv, root=str(tmp_path), scratch="", home="") == argv


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Containment("bubblewrap", network=False), "the project writable, the rest read-only, no network"),
        (Containment("bubblewrap", network=True), "the project writable, the rest read-only, network shared"),
        (Containment(why="bwrap is not installed"), "none (bwrap is not installed): the shell can do what you can"),
        (Containment(), "none: the shell can do what you can"),
    ],
)
def test_what_is_in_force_is_one_line(one, words):
    assert one.words.removeprefix("bubblewrap: ") == words


@held_in
def test_the_containment_here_is_bubblewrap():
    found = find_containment("required", network=True, path="")
    assert (found.kind, found.network, found.why) == ("bubblewrap", True, "")


@held_in
def test_a_bwrap_that_an_agent_could_have_put_on_the_path_is_not_preferred(tmp_path):
    planted = program(tmp_path, "exit 0")
    assert find_containment("auto", network=False, path=os.path.dirname(planted.program)) == HERE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo 'bwrap: No permissions to create new namespace' >&2; exit 1", "No permissions to create new namespace"),
        ("exit 0", "ran nothing"),
        ('while [ "$1" != -- ]; do [ "$1" = --chdir ] && cd "$2"; shift; done; shift; "$@"', "outside the project"),
    ],
)
def test_a_bwrap_that_does_not_hold_is_none_with_the_reason(tmp_path, text, why):
    # The usual folders hold a bwrap that works, so this one is asked directly.
    assert why in _problem(program(tmp_path, text))


def test_a_bwrap_that_is_no_program_is_none_with_the_reason(tmp_path):
    assert "cannot start" in _problem(Containment("bubblewrap", network=False, program=str(tmp_path)))


# Files


@held_in
def test_the_project_is_writable(held):
    held.run("mkdir -p out && echo a >out/b")
    assert (held.root / "out" / "b").read_text() == "a\n"


@held_in
def test_a_file_outside_is_not_changed(held, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("before")
    held.more["keep"] = (str(tmp_path),)
    held.run(f"echo after >{outside}; echo after >../outside; rm -f {outside}")
    assert outside.read_text() == "before"


@held_in
@pytest.mark.parametrize("path", ["/etc/do-tasks-test", "/usr/do-tasks-test", "/sys/do-tasks-test", "/do-tasks-test"])
def test_the_machine_is_read_only(held, path):
    assert "Read-only file system" in held.run(f"echo a >{path}")
    assert not os.path.exists(path)


@held_in
def test_the_settings_of_the_kernel_are_read_only(held):
    said = held.run("for name in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches; do : >>$name; done; mount")
    assert "proc on /proc/sys type proc (ro" in said


@held_in
@pytest.mark.parametrize("how", ["-rm", "-Um"])
def test_no_mount_can_be_taken_away(held, how):
    held.run(
        f"unshare {how} sh -c 'umount SPEC.md; mount -o remount,rw SPEC.md; echo bad >>SPEC.md'; echo bad >>SPEC.md"
    )
    assert (held.root / "SPEC.md").read_text() == "- [ ] **STEP 1**: a\n"


@pytest.mark.first_rows(2)
@held_in
@pytest.mark.parametrize(
    "name",
    ["SPEC.md", ".task_execution.log", ".git/config", ".claude/agents/AGENT.md", "tests/deep/test_a.py", ".do-tasks/a"],
)
def test_what_judges_and_records_is_read_only(held, name):
    path = held.write(name, "before")
    said = held.run(f"echo after >{name}; rm -rf {name}; mv {name} x; mv $(dirname {name}) y; echo over")
    assert ("Read-only file system" in said, path.read_text()) == (True, "before")


@held_in
def test_beside_a_read_only_file_in_a_read_only_folder_nothing_is_written(held):
    held.write(".claude/tasks/step_definitions.yaml")
    held.more["read_only"] = (".claude/tasks/step_definitions.yaml",)
    assert "Read-only file system" in held.run("echo a >.claude/tasks/a")


@held_in
def test_the_file_that_says_where_a_worktree_has_its_hooks_is_read_only(held):
    held.write(".git", "gitdir: elsewhere\n")
    assert "Read-only file system" in held.run("echo 'gitdir: mine' >.git")


@held_in
def test_a_folder_above_what_is_read_only_cannot_be_moved_away(held):
    held.write("checks/eval/a.py", "before")
    held.more["read_only"] = ("checks/eval/a.py",)
    held.run("mv checks away; mv checks/eval away; mkdir -p checks/eval; echo after >checks/eval/a.py")
    held.run("echo b >checks/b")
    assert (held.root / "checks/eval/a.py").read_text() == "before"
    assert (held.root / "checks/b").read_text() == "b\n"


@held_in
def test_our_own_package_is_read_only_when_it_lies_in_the_project(held):
    shutil.copytree(installation.PACKAGE_FOLDER, held.root / "executor", ignore=shutil.ignore_patterns("__pycache__"))
    said = subprocess.run(
        [sys.executable, "-B", "-c", HOLDS_ITSELF.format(house=str(held.root))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Read-only file system" in said.stderr


@held_in
def test_a_rename_from_outside_goes_through_while_a_command_runs(held):
    argv = held.argv("/bin/sh", "-c", "echo up; read line; cat SPEC.md; echo bad >SPEC.md")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, env={"PATH": PATH}, text=True, **pipes) as running:
        assert running.stdout.readline() == "up\n"
        files.replace(str(held.root / "SPEC.md"), b"- [x] ticked\n")
        now = (held.root / "SPEC.md").read_text()
        running.communicate("go\n", timeout=300)
    assert now == "- [x] ticked\n"


# Scratch


@held_in
def test_tmp_is_the_scratch_of_the_run_and_stays(held):
    held.run(f"echo a >/tmp/{ONCE}; echo b >{held.scratch}/b")
    assert held.run(f"cat /tmp/{ONCE} {held.scratch}/b; echo $TMPDIR") == "a\nb\n/tmp\n"
    assert not os.path.exists(f"/tmp/{ONCE}")


@held_in
def test_what_others_have_in_tmp_is_not_seen(held, tmp_path):
    (tmp_path / "others").write_text("a")
    assert "No such file" in held.run(f"cat {tmp_path}/others")


@held_in
def test_a_link_in_place_of_tmp_does_not_open_what_it_leads_to(held, tmp_path):
    (tmp_path / "treasure").mkdir()
    said = held.run(f"cd {held.scratch} && rm -rf tmp; mv tmp x; ln -sfn {tmp_path}/treasure tmp; ls -ld tmp")
    assert "busy" in said
    assert not (held.scratch / "tmp").is_symlink()


@pytest.mark.parametrize("name", ["scratch", "scratch/tmp"])
def test_a_scratch_that_is_a_link_is_refused_with_the_next_move(held, tmp_path, name):
    (tmp_path / "treasure").mkdir()
    link = held.scratch.parent / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "treasure")
    with pytest.raises(MachineError, match="remove it, then go on"):
        contained_argv(Containment("bubblewrap"), ("true",), root=str(held.root), scratch=str(held.scratch), home="")


# Secrets


SECRETS = {name: f"sesame {name!r}" for name in (".ssh/id_ed25519", ".netrc", ".config/gh/hosts.yml", ".claude.json")}


@held_in
@pytest.mark.parametrize("name", SECRETS)
def test_the_secrets_of_the_home_are_hidden(held, name):
    _furnish(held.home)
    said = held.run(f"cat ~/.cache/pip/readme; cat ~/{name}; ls -A ~/.ssh; echo a >>~/{name}")
    assert (said.startswith("hello"), SECRETS[name] in said) == (True, False)
    assert (held.home / name).read_text() == SECRETS[name]


@held_in
@pytest.mark.parametrize("name", SECRETS)
def test_the_secrets_of_a_home_that_is_the_project_are_hidden(held, name):
    held.home = held.root
    _furnish(held.home)
    assert SECRETS[name] not in held.run(f"cat {name}; cat ~/{name}")


@held_in
def test_a_hidden_file_reads_as_an_empty_one(held):
    held.home = held.root
    _furnish(held.home)
    assert held.run("wc -c <.netrc") == "0\n"


@held_in
def test_what_a_hidden_file_reads_as_cannot_be_written_by_the_shell(held):
    held.home = held.root
    _furnish(held.home)
    empty = held.scratch.parent / "empty"
    assert "Read-only file system" in held.run(f"rm -f {empty}; ln -s ~/.ssh/id_ed25519 {empty}")
    assert not empty.is_symlink()


@held_in
def test_a_home_with_a_link_for_a_secret_hides_what_it_leads_to(held):
    (held.home / "dotfiles").mkdir()
    (held.home / "dotfiles/netrc").write_text("machine b")
    (held.home / ".netrc").symlink_to("dotfiles/netrc")
    held.more["keep"] = (str(held.home),)
    assert "machine b" not in held.run("cat ~/.netrc ~/dotfiles/netrc")


@held_in
def test_an_interpreter_in_the_home_stays_visible(held):
    tool = held.home / ".pyenv/versions/3/bin/tool"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho works\n")
    tool.chmod(0o755)
    held.more["keep"] = (str(held.home / ".pyenv/versions/3"),)
    assert held.run("~/.pyenv/versions/3/bin/tool; touch ~/.pyenv/versions/3/a").startswith("works\n")
    assert not (held.home / ".pyenv/versions/3/a").exists()


@held_in
def test_a_kept_link_stays_where_it_is_written(held, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a").write_text("seen")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    held.more["keep"] = (str(tmp_path / "link"),)
    assert held.run(f"cat {tmp_path}/link/a") == "seen"


HOMES = {".bashrc": "rc", ".python_history": "typed", "work/other/a": "other", ".cache/huggingface/token": "hf"}


@held_in
@pytest.mark.parametrize("name", HOMES)
def test_a_home_shows_the_allow_list_alone(held, name):
    _furnish(held.home)
    (held.home / name).parent.mkdir(parents=True, exist_ok=True)
    (held.home / name).write_text(f"private {HOMES[name]}")
    assert "private" not in held.run(f"cat ~/{name}")


@held_in
def test_a_home_that_is_the_prefix_of_the_environment_shows_that_alone(held):
    for name in ("bin/tool", "lib/a", "pyvenv.cfg", ".bashrc"):
        (held.home / name).parent.mkdir(exist_ok=True)
        (held.home / name).write_text(f"{name}\n")
    held.more["keep"] = (str(held.home),)
    assert held.run("cat ~/bin/tool ~/lib/a ~/pyvenv.cfg ~/.bashrc 2>/dev/null") == "bin/tool\nlib/a\npyvenv.cfg\n"


@held_in
@pytest.mark.parametrize("home", ["/", "/usr", "relative"])
def test_an_odd_home_breaks_nothing(held, home):
    held.home = home
    assert held.run("cat SPEC.md; /usr/bin/env true && echo works").endswith("works\n")


@held_in
def test_what_is_named_is_read_where_a_home_hides_it(held):
    _furnish(held.home)
    held.more["sight"] = View(read=(str(held.home / ".netrc"),))
    assert held.run("cat ~/.netrc ~/.ssh/id_ed25519 2>/dev/null") == SECRETS[".netrc"]


@held_in
def test_sockets_in_run_are_not_there(held):
    assert held.run("ls -A /run /var/run/") == "/run:\n\n/var/run/:\n"


def _furnish(home):
    for name, text in {**SECRETS, ".cache/pip/readme": "hello\n"}.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)


# Rights, network, processes, devices


@held_in
def test_a_command_has_no_capability(held):
    assert held.run("grep -E 'Cap(Prm|Eff)|NoNew' /proc/self/status").split()[1::2] == ["0" * 16, "0" * 16, "1"]


ASKS = "exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached"


@held_in
@pytest.mark.parametrize("shared", [True, False])
def test_a_local_server_is_reached_only_when_the_network_is_shared(held, server, shared):
    held.network = shared
    assert ("reached" in held.run(ASKS.format(port=server))) is shared


@held_in
def test_a_server_of_the_command_itself_is_reached_without_a_network(held):
    text = "import socket; a = socket.create_server(('127.0.0.1', 0)); socket.create_connection(a.getsockname())"
    assert held.run(f'/usr/bin/env python3 -c "{text}" && echo reached').endswith("reached\n")


@held_in
def test_processes_outside_are_neither_seen_nor_signalled(held):
    assert held.run(f"kill -0 {os.getpid()} && echo seen; ls -d /proc/{os.getpid()} 2>&1").count("No such") == 2


@held_in
def test_a_child_in_the_background_dies_with_its_command(held):
    held.run(f"exec -a {ONCE} setsid sleep 300 </dev/null >/dev/null 2>&1 & disown; sleep 0.1")
    until(lambda: not _called(ONCE), "it lives on")


def _called(name):
    def words(pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return file.read().split(b"\0")
        except OSError:
            return []

    return [pid for pid in os.listdir("/proc") if pid.isdigit() and words(pid)[:1] == [name.encode()]]


@held_in
def test_a_killed_parent_leaves_nothing(held):
    token = f"{ONCE}/{os.getpid()}"
    parent = subprocess.Popen([sys.executable, "-c", HOLDS.format(house=str(ROOT)), str(held.root), token])
    try:
        until((held.root / "up").exists, "it did not start")
        assert len(procfs.pids_with_token(token)) >= 3
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait(timeout=300)
    try:
        until(lambda: not procfs.pids_with_token(token), "a process lives on")
    finally:
        for pid in procfs.pids_with_token(token):
            os.kill(pid, signal.SIGKILL)


@held_in
def test_devices_are_the_harmless_ones(held):
    found = held.run("ls /dev").split()
    gpus = {name for name in found if name.startswith(("nvidia", "kfd", "dri", "dxg"))}
    harmless = {"core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty"}
    assert set(found) - gpus <= {*harmless, "urandom", "zero", "console"}
    assert held.run("echo a >/dev/null && echo b >/dev/shm/b && cat /dev/shm/b") == "b\n"


# Odd places


@pytest.mark.first_rows(3)
@held_in
@pytest.mark.parametrize("name", ["with space", "quo'te\"s", "new\nline", "back\\slash", "é€", "-dash", "$(id)"])
def test_a_project_with_an_odd_name_is_held_in(tmp_path, name):
    held = Held(tmp_path, name)
    assert "Read-only file system" in held.run("echo a >b; echo a >SPEC.md")
    assert (held.root / "b").read_text() == "a\n"


@held_in
def test_a_project_reached_by_a_link_is_held_in(held, tmp_path):
    (tmp_path / "link").symlink_to(held.root)
    held.root = tmp_path / "link"
    held.scratch = held.root / ".do-tasks" / "run" / "scratch"
    assert "Read-only file system" in held.run("echo a >b; echo a >SPEC.md")
    assert (held.root / "b").exists()


@held_in
def test_a_project_outside_tmp_is_held_in():
    with TemporaryDirectory(dir="/var/tmp") as folder:
        held = Held(Path(folder))
        assert "Read-only file system" in held.run("echo a >b; echo a >SPEC.md")
        assert (held.root / "b").exists()


@held_in
def test_a_home_that_is_not_there_hides_nothing_and_breaks_nothing(held, tmp_path):
    held.home = tmp_path / "nobody"
    held.more["keep"] = ("relative", str(tmp_path / "gone"), "/")
    assert held.run("echo works") == "works\n"
