"""Holds that what judges an agent is as it was after its work, whatever it did, and that nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from executor.guard import log_guard, path_patterns, protect, snapshot
from executor.plan.spec import spec_md
from executor.plan.spec.spec_md import Mark
from executor.store import log_reader, runs
from executor.store.events import AgentTurned, LogRepaired, StepPassed, TaskStarted, WarningRaised
from executor.store.log_writer import LogWriter
from executor.system import files
from executor.system.run_records import LOG_NAME, Exit, Identity

ROOT = Path(__file__).resolve().parents[2]
TASK, JOB = "task_1_0000000a", "task_2_0000000b"
SPEC = "# Plan\r\n- [ ] **STEP 1**: One\r\n- [~] **STEP 2**: Two\r\n- [ ] **STEP 3**: Three\r\n"
DEFINITIONS = "step_1_one: {main: {command: 'true'}}\n"
# Writes as a supervisor does, and does little else: one call a line.
LONG_LINES = """
import os, sys, time
from executor.store.events import WarningRaised
from executor.store.log_writer import LogWriter
beside = LogWriter(sys.argv[1] + ".beside")
beside.write(WarningRaised(message="x" * 1_000_000), task_id=sys.argv[2], step=2)
line = open(beside.path, "rb").read()
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
print("writing", flush=True)
for _ in range(60):
    os.write(log, line)
    time.sleep(0.0005)
"""
# Dies at the Nth thing that it does to a file.
DIES = """
import os, signal, sys
from executor.guard import protect
left = int(sys.argv[3])
def hook(event, args):
    global left
    if event in ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.symlink", "os.chmod", "os.utime"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
protect.undo(sys.argv[1], sys.argv[2])
"""
# As root it gives up what lets root do all.
PLAIN = """
import ctypes, os, sys
for capability in (1, 2, 3):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""
UNDO = """
import json, sys
from executor.guard import protect
print(json.dumps([[one.path, one.kind, one.restored, one.why] for one in protect.undo(sys.argv[1], sys.argv[2])]))
"""
FULL = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
{UNDO}"""


class Place:
    """A project with what was remembered of it."""

    def __init__(self, root, protect_too=()):
        self.root = Path(root)
        self.protect_too = protect_too
        self.memory = None
        for name, text in {
            "SPEC.md": SPEC,
            "step_definitions.yaml": DEFINITIONS,
            "tests/test_a.py": "assert 1 == 2\n",
            "tests/deep/test_b.py": "assert 2 == 3\n",
            "tests/data.bin": "x" * 10_000,
            "src/code.py": "print()\n",
        }.items():
            self.write(name, text)

    @property
    def folder(self):
        return str(self.root / ".do-tasks" / "jobs" / TASK / "main.1" / "guarded")

    @property
    def taken(self):
        return Path(self.folder) / "taken"

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def text(self, name):
        return (self.root / name).read_bytes().decode()

    def remember(self):
        globs = path_patterns.judge_globs(self.protect_too, "step_definitions.yaml")
        self.memory = protect.take_snapshot(str(self.root), self.folder, globs)
        return self

    def sh(self, command):
        subprocess.run(["bash", "-ec", command], cwd=self.root, check=True, timeout=300)
        return self

    def undo(self, **known):
        return {one.path: one for one in protect.undo(str(self.root), self.folder, **known)}

    def child(self, code, *words, argv=("-c",), **popen):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, *argv, code, str(self.root), self.folder, *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False, **popen)

    def shown(self):
        """All of the project but our own folder: what each path is, its mode, what it holds."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if not name.startswith(".do-tasks") and "__pycache__" not in name:
                found[name] = (stat.filemode(path.lstat().st_mode), content(path))
        return found


def content(path):
    if path.is_symlink():
        return os.readlink(path)
    return path.read_bytes() if path.is_file() else ""


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "p", ["data/gold", "**/*.lock"])


def kinds(found):
    return {path: one.kind for path, one in found.items()}


# What an agent may try

TRICKS = {
    "a box is ticked": ("sed -i 's/\\[ \\]/[x]/' SPEC.md", {"SPEC.md": "changed"}),
    "the spec is gone": ("rm SPEC.md", {"SPEC.md": "removed"}),
    "the spec is a folder": ("rm SPEC.md; mkdir SPEC.md; echo >SPEC.md/a", {"SPEC.md": "replaced"}),
    "the spec is a link": (
        "mv SPEC.md /tmp/s.$$ && cp /tmp/s.$$ s; rm /tmp/s.$$; ln -s s SPEC.md",
        {"SPEC.md": "replaced"},
    ),
    "the spec is a pipe": ("rm SPEC.md; mkfifo SPEC.md", {"SPEC.md": "replaced"}),
    "definitions are changed": ("echo >>step_definitions.yaml", {"step_definitions.yaml": "changed"}),
    "definitions are made at the other place": (
        "mkdir -p .claude/tasks; echo >.claude/tasks/step_definitions.yaml",
        {".claude/tasks/step_definitions.yaml": "added"},
    ),
    "the other place is made a link": ("mkdir x; ln -s x .claude", {".claude": "added"}),
    "a test is rewritten": ("echo pass >tests/test_a.py", {"tests/test_a.py": "changed"}),
    "a test is rewritten to the same length and time": (
        "touch -r tests/test_a.py t; sed -i s/2/1/ tests/test_a.py; touch -r t tests/test_a.py",
        {"tests/test_a.py": "changed"},
    ),
    "tests are deleted": (
        "rm -r tests",
        dict.fromkeys(("tests", "tests/data.bin", "tests/deep", "tests/deep/test_b.py", "tests/test_a.py"), "removed"),
    ),
    "tests are a link to elsewhere": (
        "mv tests mine; ln -s mine tests; echo pass >mine/test_a.py",
        {
            "tests": "replaced",
            **dict.fromkeys(("tests/data.bin", "tests/deep", "tests/deep/test_b.py", "tests/test_a.py"), "removed"),
        },
    ),
    "tests are a file": (
        "rm -r tests; echo >tests",
        {
            "tests": "replaced",
            **dict.fromkeys(("tests/data.bin", "tests/deep", "tests/deep/test_b.py", "tests/test_a.py"), "removed"),
        },
    ),
    "a conftest is added": ("echo 'import os' >tests/conftest.py", {"tests/conftest.py": "added"}),
    "a folder is added": ("mkdir -p tests/x/y; echo >tests/x/y/z", {"tests/x": "added"}),
    "a folder that looks skipped is added": (
        "mkdir -p tests/.git; echo >tests/.git/conftest.py",
        {"tests/.git": "added"},
    ),
    "a file is made executable": ("chmod 755 tests/test_a.py", {"tests/test_a.py": "mode"}),
    "a file is closed": ("chmod 000 tests/test_a.py", {"tests/test_a.py": "mode"}),
    "a file becomes a link to itself": (
        "mv tests/test_a.py a.py; ln -s ../a.py tests/test_a.py",
        {"tests/test_a.py": "replaced"},
    ),
    "a file becomes a pipe": ("rm tests/test_a.py; mkfifo tests/test_a.py", {"tests/test_a.py": "replaced"}),
    "a file becomes a folder": ("rm tests/test_a.py; mkdir tests/test_a.py", {"tests/test_a.py": "replaced"}),
    "a file is moved": (
        "mv tests/test_a.py tests/test_c.py",
        {"tests/test_a.py": "removed", "tests/test_c.py": "added"},
    ),
    "a lock file is added far away": ("mkdir -p src/a; echo >src/a/uv.lock", {"src/a/uv.lock": "added"}),
    "what the plan protects is made": ("mkdir -p data/gold; echo >data/gold/1", {"data/gold": "added"}),
    "a forged old log is added": (f"echo >{LOG_NAME}.7", {f"{LOG_NAME}.7": "added"}),
}


@pytest.mark.parametrize("name", TRICKS)
def test_what_an_agent_changed_is_told(place, name):
    command, expected = TRICKS[name]
    place.remember().sh(command)
    found = place.undo()
    assert kinds(found) == expected
    assert all(one.restored for one in found.values())


@pytest.mark.parametrize("name", TRICKS)
def test_what_an_agent_changed_is_as_it_was(place, name):
    before = place.remember().shown()
    place.sh(TRICKS[name][0])
    place.undo()
    after = place.shown()
    assert {path: after.get(path) for path in before} == before
    assert not [
        path for path in after if path not in before and path_patterns.matching_glob(path, ("tests/**", "**/*.lock"))
    ]


@pytest.mark.parametrize("name", TRICKS)
def test_a_second_look_finds_nothing_and_what_was_found_is_still_told(place, name):
    place.remember().sh(TRICKS[name][0])
    first = place.undo()
    assert place.undo() == {}
    assert {one.path for one in protect.found_changes(place.folder)} == set(first)


@pytest.mark.parametrize("name", ["a file is closed", "a conftest is added", "tests are deleted"])
def test_without_the_rights_of_root_it_is_put_back_too(place, name):
    before = place.remember().shown()
    place.sh(f"{TRICKS[name][0]}; mkdir -p tests; chmod 500 tests")
    ran = place.child(UNDO, argv=("-c", PLAIN))
    assert ran.returncode == 0, ran.stderr
    assert all(restored for _, _, restored, _ in json.loads(ran.stdout))
    assert place.shown() == before


def test_a_closed_folder_is_opened_and_what_changed_in_it_put_back(place):
    before = place.remember().shown()
    place.sh("echo pass >tests/deep/test_b.py; echo >tests/deep/conftest.py; chmod 000 tests/deep tests")
    ran = place.child(UNDO, argv=("-c", PLAIN))
    assert ran.returncode == 0, ran.stderr
    found = {path: kind for path, kind, _, _ in json.loads(ran.stdout)}
    assert place.shown() == before
    assert found["tests"] == found["tests/deep"] == "mode"
    assert (found["tests/deep/test_b.py"], found["tests/deep/conftest.py"]) == ("changed", "added")


def test_a_name_that_is_skipped_hides_nothing_new(place):
    place.remember().sh("touch tests/deep/pyvenv.cfg tests/deep/conftest.py")
    assert kinds(place.undo()) == {"tests/deep/pyvenv.cfg": "added", "tests/deep/conftest.py": "added"}


@pytest.mark.parametrize("command", ["mkdir x; ln -s ../x .claude/tasks", "echo >.claude/tasks", "true"])
def test_a_folder_on_the_way_to_a_judge_is_a_real_one_again(place, command):
    place.write(".claude/tasks/step_definitions.yaml", DEFINITIONS)
    before = place.remember().shown()
    place.sh(f"mv .claude/tasks/step_definitions.yaml .; rmdir .claude/tasks; {command}")
    assert place.undo()[".claude/tasks/step_definitions.yaml"].restored
    assert place.text(".claude/tasks/step_definitions.yaml") == DEFINITIONS
    after = place.shown()
    assert {path: after.get(path) for path in before} == before
    assert not list(place.root.glob("x/*"))


# What is no offence


def test_nothing_changed_is_nothing_found(place):
    place.remember()
    assert place.undo() == {}


def test_nothing_remembered_is_nothing_found(place):
    place.sh("echo >>SPEC.md")
    assert place.undo() == {}
    assert not protect.has_snapshot(place.folder)


@pytest.mark.parametrize(
    "command", ["echo >>src/code.py", "touch tests/test_a.py", "mkdir -p out; echo >out/a", "cat tests/*.py >/dev/null"]
)
def test_work_is_no_offence(place, command):
    place.remember().sh(command)
    assert place.undo() == {}


def test_caches_of_running_the_tests_are_no_offence_and_go(place):
    place.write("tests/__pycache__/old.pyc", "old")
    place.write("tests/__pycache__/forged.pyc", "mine")
    place.remember().sh(
        "echo evil >tests/__pycache__/forged.pyc; echo >tests/__pycache__/new.pyc; mkdir -p tests/deep/.pytest_cache/v;"
        " echo >tests/deep/.pytest_cache/v/a; echo >tests/x.pyc; mkdir out; ln -s ../out tests/deep/__pycache__"
    )
    assert place.undo() == {}
    left = [path.relative_to(place.root).as_posix() for path in (place.root / "tests").rglob("*")]
    assert [path for path in left if path_patterns.is_cache(path)] == ["tests/__pycache__", "tests/__pycache__/old.pyc"]
    assert (place.root / "out").is_dir()


def test_a_link_in_a_guarded_folder_does_not_guard_the_folder_behind_it(place):
    (place.root / "tests" / "src").symlink_to("../src")
    place.remember().sh("echo >>src/code.py; echo >src/new.py")
    assert place.undo() == {}


def test_an_environment_and_a_repository_are_not_walked(place):
    place.write("env/pyvenv.cfg", "")
    place.remember().sh("mkdir -p .git node_modules/a; touch env/a.lock .git/index.lock node_modules/a/b.lock")
    assert place.undo() == {}


def test_our_own_records_are_not_guarded(tmp_path):
    place = Place(tmp_path / "p", ["**"]).remember()
    place.write(LOG_NAME, "{}\n")
    place.write(".do-tasks/state.json", "{}")
    assert place.undo() == {}


# How it is put back


def test_what_was_overwritten_and_added_is_kept(place):
    place.remember().sh("echo forged >tests/test_a.py; echo mine >tests/conftest.py; echo note >>SPEC.md")
    place.undo()
    assert (place.taken / "tests" / "test_a.py").read_text() == "forged\n"
    assert (place.taken / "tests" / "conftest.py").read_text() == "mine\n"
    assert (place.taken / "SPEC.md").read_text().endswith("note\n")


def test_what_is_taken_twice_is_kept_twice(place):
    place.remember()
    for text in ("one", "two"):
        place.sh(f"echo {text} >tests/test_a.py")
        place.undo()
    place.sh("rm -r tests; echo three >tests")
    place.undo()
    kept = sorted(path.read_text() for path in place.taken.rglob("*") if path.is_file())
    assert kept == ["one\n", "three\n", "two\n"]


def test_a_restored_file_has_its_time_and_rights(place):
    path = place.root / "tests" / "test_a.py"
    path.chmod(0o640)
    os.utime(path, ns=(1, 1_000_000_007))
    place.remember().sh("rm tests/test_a.py")
    place.undo()
    assert (path.stat().st_mtime_ns, stat.S_IMODE(path.stat().st_mode)) == (1_000_000_007, 0o640)


def test_nothing_is_written_through_a_link_that_an_agent_made(place, tmp_path):
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "test_b.py").write_text("theirs")
    (outside / "conftest.py").write_text("theirs")
    before = place.remember().shown()
    place.sh(f"rm -r tests; ln -s {outside} tests; rm SPEC.md; ln -s {outside}/conftest.py SPEC.md")
    place.undo()
    assert place.shown() == before
    assert sorted(path.read_text() for path in outside.rglob("*.py")) == ["theirs", "theirs"]


def test_a_link_to_a_file_of_the_project_is_guarded_with_the_file(place):
    place.write("shared/golden.txt", "42\n")
    (place.root / "tests" / "golden.txt").symlink_to("../shared/golden.txt")
    before = place.remember().shown()
    place.sh("echo 0 >shared/golden.txt")
    assert kinds(place.undo()) == {"shared/golden.txt": "changed"}
    assert place.shown() == before


def test_a_folder_of_tests_that_is_a_link_is_guarded_where_it_leads(place):
    place.sh("mkdir qa; mv tests qa/tests; ln -s qa/tests tests")
    before = place.remember().shown()
    place.sh("rm tests; mkdir tests; echo >tests/test_a.py; echo pass >qa/tests/test_a.py; echo >qa/tests/conftest.py")
    found = place.undo()
    assert kinds(found) == {"tests": "replaced", "qa/tests/test_a.py": "changed", "qa/tests/conftest.py": "added"}
    assert place.shown() == before


def test_a_folder_of_tests_outside_the_project_is_not_followed(place, tmp_path):
    place.sh(f"mv tests {tmp_path}/theirs; ln -s {tmp_path}/theirs tests")
    place.remember().sh("echo >tests/new.py")
    assert place.undo() == {}
    assert (tmp_path / "theirs" / "new.py").exists()


def test_a_spec_behind_a_link_is_put_back_where_it_leads(place, tmp_path):
    place.sh(f"mv SPEC.md {tmp_path}/SPEC.md; ln -s {tmp_path}/SPEC.md SPEC.md")
    place.remember().sh("sed -i --follow-symlinks 's/\\[ \\]/[x]/' SPEC.md")
    assert kinds(place.undo()) == {f"{tmp_path}/SPEC.md": "changed"}
    assert (place.root / "SPEC.md").is_symlink()
    assert place.text("SPEC.md") == SPEC


def test_what_our_log_explains_stays_in_the_spec(place):
    data = SPEC.encode()
    mark = Mark("passed", JOB, "2026-11-22 10:30", "1 proven")
    ours = spec_md.tick(data, 2, mark)
    place.remember().write("SPEC.md", ours)
    assert place.undo(explained={2: "x"}) == {}
    place.write("SPEC.md", ours.replace(b"[ ] **STEP 3", b"[x] **STEP 3"))
    assert kinds(place.undo(explained={2: "x"})) == {"SPEC.md": "changed"}
    assert place.text("SPEC.md").encode() == ours


def test_an_odd_name_is_put_back(place):
    path = os.path.join(os.fsencode(place.root), b"tests", b"odd \xff\n.py")
    with open(path, "wb") as file:
        file.write(b"x")
    place.remember()
    os.unlink(path)
    assert len(place.undo()) == 1
    assert os.path.exists(path)


def test_a_file_that_was_too_large_to_keep_is_told_as_lost(place):
    with open(place.root / "tests" / "big.bin", "wb") as file:
        file.truncate(snapshot.MOST_OF_ONE + 1)
    place.remember().sh("printf x | dd of=tests/big.bin conv=notrunc status=none")
    (one,) = place.undo().values()
    assert (one.path, one.restored) == ("tests/big.bin", False)
    assert "repository" in one.why
    assert place.undo() == {}


def test_a_large_file_whose_time_alone_changed_is_no_offence(place):
    with open(place.root / "tests" / "big.bin", "wb") as file:
        file.truncate(snapshot.MOST_OF_ONE + 1)
    place.remember().sh("touch tests/big.bin")
    assert place.undo() == {}


# Deaths and full disks


def test_killed_at_any_point_and_called_again_it_ends_in_the_same_state(place, tmp_path):
    before = place.remember().shown()
    every = "; ".join(TRICKS[name][0] for name in ("a box is ticked", "tests are a link to elsewhere"))
    place.sh(f"{every}; echo >step_definitions.yaml; mkdir -p .claude; ln -s . .claude/tasks; touch a.lock")
    shutil.copytree(place.root, tmp_path / "tampered", symlinks=True)
    died, at, told = True, 0, set()
    while died:
        shutil.rmtree(place.root)
        shutil.copytree(tmp_path / "tampered", place.root, symlinks=True)
        died = place.child(DIES, str(at)).returncode == -signal.SIGKILL
        place.undo()
        after = place.shown()
        assert {path: after.get(path) for path in before} == before, at
        told.add(frozenset(one.path for one in protect.found_changes(place.folder)))
        at += 3
    assert at > 70
    ((*paths,),) = told  # the same each time, and nothing that we left lying there
    assert {"SPEC.md", "tests", "a.lock", ".claude/tasks"} <= set(paths)


def test_a_death_while_remembering_leaves_nothing_remembered(place):
    code = DIES.replace(
        "protect.undo(sys.argv[1], sys.argv[2])", "protect.take_snapshot(*sys.argv[1:3], ('tests/**',))"
    )
    assert place.child(code, "6").returncode == -signal.SIGKILL
    assert not protect.has_snapshot(place.folder)
    assert place.undo() == {}


def test_on_a_full_disk_what_could_not_be_put_back_is_told(place):
    place.remember().sh("echo >tests/data.bin; echo >tests/test_a.py")
    ran = place.child(FULL)
    assert ran.returncode == 0, ran.stderr
    found = {path: (restored, why) for path, _, restored, why in json.loads(ran.stdout)}
    assert found["tests/test_a.py"] == (True, "")
    assert not found["tests/data.bin"][0]
    assert "File too large" in found["tests/data.bin"][1]
    assert len(place.text("tests/data.bin")) == 1


def test_what_an_executor_did_not_live_to_look_at_is_named_to_the_next(place):
    place.remember()
    assert protect.unfinished_folder(str(place.root)) == place.folder
    place.undo()
    assert protect.unfinished_folder(str(place.root)) == ""


# What was remembered, tampered with


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"entries": {"../../etc/passwd": ["file"]}}', '{"entries": 3}', "null"]
)
def test_a_broken_memory_is_told_once_as_lost(place, text):
    place.remember()
    Path(place.folder, "manifest.json").write_text(text)
    (one,) = place.undo().values()
    assert (one.kind, one.restored) == ("lost", False)
    assert "by hand" in one.why
    assert place.undo() == {}


def test_contents_that_were_tampered_with_are_not_put_back(place):
    place.remember().sh("echo >tests/test_a.py")
    data = files.read(f"{place.folder}/contents")
    Path(place.folder, "contents").write_bytes(data.replace(b"1 == 2", b"1 == 1"))
    (one,) = place.undo().values()
    assert (one.path, one.restored) == ("tests/test_a.py", False)
    assert place.text("tests/test_a.py") == "\n"


@pytest.mark.parametrize(
    "command",
    [
        "rm -r .do-tasks",
        "rm -r .do-tasks/jobs/*/main.1/guarded; ln -s /tmp .do-tasks/jobs/task_1_0000000a/main.1/guarded",
        "echo '{}' >.do-tasks/jobs/task_1_0000000a/main.1/guarded/manifest.json",
        "cd .do-tasks/jobs/*/main.1/guarded; rm manifest.json contents; mkfifo manifest.json; mkdir contents",
    ],
)
def test_while_we_live_a_memory_that_was_destroyed_is_whole_again(place, command):
    before = place.remember().shown()
    place.sh(f"sed -i 's/\\[ \\]/[x]/' SPEC.md; rm -r tests; {command}")
    found = place.undo(memory=place.memory)
    assert {"SPEC.md", "tests", f".do-tasks/jobs/{TASK}/main.1/guarded/manifest.json"} <= set(found)
    assert place.shown() == before


# What a sandbox can close


def test_a_sandbox_is_given_folders_whole_and_wild_globs_file_by_file(place):
    place.sh("touch a.lock; mkdir -p sub; touch sub/b.lock")
    globs = path_patterns.judge_globs(["**/*.lock", "missing/**"], "step_definitions.yaml")
    found = protect.existing_paths(str(place.root), globs)
    assert found == ("SPEC.md", "step_definitions.yaml", "tests", "a.lock", "sub/b.lock")


# The log


class Log:
    """A log with a mark: two lines before it, what our own journal wrote since."""

    def __init__(self, place):
        self.place = place
        self.path = place.root / LOG_NAME
        self.journal = LogWriter(str(self.path))
        for number in (1, 2):
            self.journal.write(TaskStarted(), task_id=f"task_{number}_0000000{'ab'[number - 1]}", step=number)
        self.mark = log_guard.mark_log(self.journal, place.folder, jobs={JOB})
        self.before = self.path.read_bytes()
        self.turn(1)

    def end_the_job(self):
        folder = runs.new_run(str(self.place.root), JOB, "main.1")
        runs.write_started(folder, Identity(2**22, 1, "boot", "machine"), command="train", digest="")
        runs.write_exit(folder, Exit(0))

    def turn(self, number):
        self.journal.write(AgentTurned(run="main.1", turn=number), task_id=TASK, step=1)

    def verify(self, **known):
        return log_guard.verify(self.journal, self.place.folder, task_id=TASK, **{"mark": self.mark, **known})

    def events(self):
        return [json.loads(line)["event"] for line in self.path.read_bytes().splitlines()]


@pytest.fixture
def log(place):
    one = Log(place)
    yield one
    one.journal.close()


def forged(event="StepPassed", *, task_id="task_3_0000000c", step=3, **more):
    envelope = {"v": 1, "timestamp": "2030-01-01T00:00:00.000Z", "task_id": task_id, "step": step, "phase": "SPEC"}
    return json.dumps({**envelope, "event": event, "status": "passed", **more}) + "\n"


def append(path, text):
    with open(path, "ab") as file:
        file.write(text.encode())


USUAL = ["TaskStarted", "TaskStarted", "AgentTurned", "AgentTurned"]


def test_a_log_that_nobody_forged_stays_the_same_file(log):
    inode = log.path.stat().st_ino
    log.turn(2)
    assert log.verify().found == ()
    assert (log.path.stat().st_ino, log.events()) == (inode, USUAL)


@pytest.mark.parametrize(
    "text",
    [
        forged(),
        forged("StepPassed", task_id=TASK, step=1),
        forged("StepPassed", task_id=JOB, step=3),
        forged("StepPassed", task_id=JOB, step=2),
        forged("TaskStarted", task_id=JOB, step=2),
        forged("AgentTurned", task_id=TASK, step=1),
        forged("StepMarkedDone", task_id=""),
        "no json\n",
        "torn",
        '{"event": "LogRepaired", "task_id": "task_3_0000000c", "step": 3}\n',
    ],
)
def test_a_forged_line_is_struck_and_kept(log, text):
    append(log.path, text)
    if text.endswith("\n"):
        log.turn(2)
    (one,) = log.verify().found
    assert (one.path, one.kind, one.restored) == (LOG_NAME, "forged", True)
    assert log.events() == USUAL[: 4 if text.endswith("\n") else 3]
    assert (log.place.taken / "log.jsonl").read_text() == f"{text.strip()}\n"


def test_a_line_of_ours_that_stuck_to_a_forged_one_is_whole_again(log):
    class Hasty(LogWriter):
        """Has looked at the end of the log just before the torn line came."""

        def _repair(self):
            return

    append(log.path, "torn")
    hasty = Hasty(str(log.path))
    hasty._kept = [*log.journal.kept()]
    hasty.write(AgentTurned(run="main.1", turn=2), task_id=TASK, step=1)
    found = log_guard.verify(hasty, log.place.folder, task_id=TASK, mark=log.mark).found
    assert (found[0].kind, log.events()) == ("forged", USUAL)
    hasty.close()


def test_a_forged_line_without_its_end_is_struck_though_we_closed_it(log):
    append(log.path, forged().rstrip())
    log.turn(2)
    assert log.verify().found[0].kind == "forged"
    assert log.events() == [*USUAL[:3], "LogRepaired", "AgentTurned"]


def test_a_line_of_ours_that_is_written_again_is_struck(log):
    append(log.path, log.path.read_bytes().decode().splitlines(keepends=True)[-1])
    assert log.verify().found[0].kind == "forged"
    assert log.events() == USUAL[:3]


@pytest.mark.parametrize(
    "command",
    [
        f": >{LOG_NAME}",
        f"rm {LOG_NAME}",
        f"sed -i 1d {LOG_NAME}",
        f"sed -i '$d' {LOG_NAME}",
        f"sed -i s/TaskStarted/StepPassed/ {LOG_NAME}",
        f"printf x | dd of={LOG_NAME} conv=notrunc status=none",
        f"tac {LOG_NAME} >t; cat t >{LOG_NAME}",
        f"rm {LOG_NAME}; ln -s /dev/null {LOG_NAME}",
        f"mv {LOG_NAME} old; ln -s old {LOG_NAME}; echo x >>old",
        f"rm {LOG_NAME}; mkdir {LOG_NAME}",
        f"rm {LOG_NAME}; mkfifo {LOG_NAME}",
    ],
)
def test_a_log_that_was_cut_changed_or_replaced_is_as_it_was(log, command):
    log.turn(2)
    whole = log.path.read_bytes()
    log.place.sh(command)
    (one,) = log.verify().found
    assert one.restored
    assert log.path.read_bytes() == whole
    assert log.verify().found == ()


def test_a_log_that_is_copied_over_itself_is_no_offence(log):
    log.turn(2)
    log.place.sh(f"cp {LOG_NAME} t; mv t {LOG_NAME}")
    log.turn(3)
    assert log.verify().found == ()


def test_what_the_supervisor_of_a_running_job_writes_stays_and_explains_its_box(log):
    log.end_the_job()
    other = LogWriter(str(log.path))
    other.write(WarningRaised(message="a"), task_id=JOB, step=2)
    append(log.path, forged())
    other.write(StepPassed(), task_id=JOB, step=2)
    verified = log.verify()
    assert verified.found[0].kind == "forged"
    assert verified.explained == {2: "x"}
    other.close()


def test_a_torn_line_that_was_repaired_is_no_offence(log):
    append(log.path, '{"v": 1, "timesta')
    other = LogWriter(str(log.path))
    other.write(WarningRaised(message="a"), task_id=JOB, step=2)
    assert log.verify().found == ()
    other.close()


def test_journals_go_on_in_the_mended_log(log):
    other = LogWriter(str(log.path))
    append(log.path, forged())
    log.verify()
    log.turn(2)
    other.write(WarningRaised(message="a"), task_id=JOB, step=2)
    assert log.events() == [*USUAL, "WarningRaised"]
    other.close()


def test_what_a_supervisor_appends_while_we_mend_is_not_lost(log):
    append(log.path, forged())
    late = forged("WarningRaised", task_id=JOB, step=2)

    class Slow(LogWriter):
        def replace(self, parts, late_of):
            parts = [*parts]
            append(log.path, late)
            super().replace(parts, late_of)

    slow = Slow(str(log.path))
    slow._kept = [*log.journal.kept()]
    log_guard.verify(slow, log.place.folder, task_id=TASK, mark=log.mark)
    assert log.events() == [*USUAL[:3], "WarningRaised"]
    slow.close()


def test_a_line_that_a_supervisor_is_writing_is_no_forgery(log):
    """A long line appears page by page, also at the moment of the mark."""
    words = [sys.executable, "-c", LONG_LINES, str(log.path), JOB]
    writer = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert writer.stdout.readline() == "writing\n"
    found = []
    while writer.poll() is None:
        mark = log_guard.mark_log(log.journal, log.place.folder, jobs={JOB})
        found += [log.verify(mark=mark).found for _ in range(10)]
    assert (writer.returncode, len(found) > 9) == (0, True)
    writer.stdout.close()
    assert set(found) == {()}
    assert set(log.events()) == {"TaskStarted", "AgentTurned", "WarningRaised"}


def test_the_fold_knows_nothing_of_what_was_struck(log):
    append(log.path, forged("TaskStarted") + forged())
    root = str(log.place.root)
    log_reader.save(root, log_reader.recall(root))
    assert log_reader.recall(root).states[3].verdict == "passed"
    log.verify()
    assert 3 not in log_reader.recall(root).states


def test_an_executor_that_adopts_strikes_what_would_tick_and_leaves_what_one_before_it_wrote(log):
    log.journal.close()
    log.journal = LogWriter(str(log.path))
    log.journal.keep()
    append(log.path, forged("StepPassed", task_id=TASK, step=1) + forged("CheckFinished", task_id=TASK, step=1))
    log.turn(2)
    (one,) = log.verify(mark=None).found
    assert one.kind == "forged"
    assert log.events() == [*USUAL[:3], "CheckFinished", "AgentTurned"]
    assert log.verify(mark=None).found == ()


def test_killed_before_the_log_is_mended_it_is_told_and_mended_later(log):
    append(log.path, forged())

    class Dying(LogWriter):
        def replace(self, *_):
            raise KeyboardInterrupt

    dying = Dying(str(log.path))
    dying.keep()
    with pytest.raises(KeyboardInterrupt):
        log_guard.verify(dying, log.place.folder, task_id=TASK)
    dying.close()
    assert [one.path for one in protect.found_changes(log.place.folder)] == [LOG_NAME]
    assert log.verify().found[0].restored
    assert log.events() == USUAL[:3]


def test_a_changed_log_whose_copy_is_gone_is_told_as_lost(log):
    log.place.sh(f"rm {log.place.folder}/log; sed -i 1d {LOG_NAME}")
    (one,) = log.verify().found
    assert (one.kind, one.restored) == ("lost", False)
    assert log.verify(mark=None).found == ()


def test_a_long_log_is_known_by_its_end(place):
    with open(place.root / LOG_NAME, "wb") as file:
        file.truncate(log_guard.MOST_COPIED)
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
    log = Log(place)
    append(log.path, forged())
    assert log.verify().found[0].restored
    assert log.path.read_bytes()[log_guard.MOST_COPIED :].count(b"\n") == 4
    log.journal.close()


def test_no_mark_is_nothing_to_verify(place):
    journal = LogWriter(str(place.root / LOG_NAME))
    journal.write(LogRepaired(size=1))
    assert log_guard.verify(journal, place.folder, task_id=TASK).found == ()
    journal.close()


def test_a_log_that_cannot_be_mended_says_why(log):
    append(log.path, forged())
    (log.place.root / f"{LOG_NAME}.tmp").mkdir()
    with pytest.raises(Exception, match="cannot repair"):
        log.verify()
