"""What judges an agent's work runs code that the agent wrote: held in, without keys, its traces no evidence."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from executor.guard import autostart_files
from executor.guard.sandbox import find_containment
from executor.testing import bash, done, edit
from tests.integration.agents import Play, project_in
from tests.integration.projects import alive, check

pytest.importorskip("anthropic")
HERE = find_containment("auto", network=False, path=os.environ["PATH"])
held_in = pytest.mark.skipif(HERE.kind == "none", reason=HERE.why)
rooted = pytest.mark.skipif(os.getuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
SECRET = "hf_Xq7Lm2Rz9Wv4Kt8Bn3"
WORK = bash("echo done >out.txt")
IS_THERE = {"criterion": "It is there", "file": "out.txt"}
CLAIM = done({"It is there": "out.txt, 5 bytes"})
STEAL = "for f in /proc/[0-9]*/environ; do tr '\\0' '\\n' <$f; done 2>/dev/null | grep -c hf_Xq7; env | grep -c hf_Xq7"
# bubblewrap as if it were not installed: a mount of its own covers it.
WITHOUT = 'mount --bind /dev/null /usr/bin/bwrap && exec "$@"'


@pytest.fixture
def project(tmp_path):
    project = project_in(tmp_path / "p")
    project.environ["HF_TOKEN"] = SECRET
    return project


def plan(project, *post, settings=None, criteria=(IS_THERE,), spec=None, **main):
    """One step that an agent does, with these POST checks."""
    body = {"agent": "tinker-executor", "runner": "agent", "skills": [], "objective": "Do it", **main}
    step = {"main": {**body, "success_criteria": list(criteria)}, "post_validation": list(post)}
    return project.plan(settings=settings, spec=spec, s1=step)


def played(project, *script, argv=None):
    """Run the step with a scripted agent; return what the command line said."""
    with Play(project, list(script)) as scene:
        more = {"argv": (*argv, sys.executable, "-m", "executor")} if argv else {}
        return scene.run(**more)


def outputs(project):
    return {line["name"]: line["output"] for line in project.events("CheckFinished", phase="POST")}


def statuses(project):
    return {line["name"]: line["status"] for line in project.events("CheckFinished", phase="POST")}


@pytest.fixture
def server():
    one = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=one.serve_forever, args=(0.02,))
    thread.start()
    yield one.server_address[1]
    one.shutdown()
    thread.join()
    one.server_close()


# What a check may do


@held_in
def test_checks_of_an_agents_step_are_held_in(project, server):
    reach = f"exec 3<>/dev/tcp/127.0.0.1/{server} && echo reached"
    project.write("script.py", "def asked():\n    open('SPEC.md', 'a').write('x')\n    return True\n")
    plan(
        project,
        check("steal", f"{STEAL}; true"),
        check("needs", "echo ${HF_TOKEN:+given}", env=["HF_TOKEN"]),
        check("spec", "echo x >>SPEC.md"),
        check("log", "echo x >>.task_execution.log"),
        check("record", "echo x >.do-tasks/state.json"),
        check("definitions", "sed -i s/a/b/ step_definitions.yaml"),
        check("git", "git init . || mkdir .git/hooks"),
        check("environment", "mkdir -p .venv/bin && touch .venv/bin/python"),
        check("project", "echo x >>notes.txt && cat notes.txt"),
        check("alone", reach),
        check("reaches", reach, network=True),
        {"task": "port", "port": server},
        {"task": "imports", "python_import": "json"},
        {"task": "called", "call": "script:asked"},
    )
    ran = played(project, WORK, CLAIM)
    seen, said = statuses(project), outputs(project)
    refused = {name for name, status in seen.items() if status == "failed"}
    assert refused == {"spec", "log", "record", "definitions", "git", "environment", "alone", "called"}, ran
    assert (said["steal"].split(), said["needs"], said["project"]) == (["0", "0"], "given\n", "x\n")
    assert "network: true" in project.event("CheckFinished", name="alone")["fix"]
    assert (project.has(".git"), project.has(".venv"), project.has(".do-tasks/placeholders.json")) == (False,) * 3


@held_in
@pytest.mark.deep
def test_a_late_contained_check_dies_with_what_it_started(project):
    late = check("late", "(setsid sleep 300 & echo $! ; sleep 300)", timeout=1)
    plan(project, late, judge={"rounds": 1})
    played(project, WORK, CLAIM)
    found = subprocess.run(["pgrep", "-f", f"sleep 30{0}"], capture_output=True, text=True, check=False).stdout.split()
    mine = [pid for pid in found if os.path.realpath(f"/proc/{pid}/cwd") == str(project.root)]
    assert project.events("CheckFinished", name="late")[0]["status"] == "timed_out"
    assert not [pid for pid in mine if alive(int(pid))]


@held_in
def test_the_checks_of_a_command_are_not_held_in(project):
    spec = "- [ ] **STEP 1**: a\n"
    step = {"main": {"command": "true"}, "post_validation": [check("free", f"{STEAL}; echo x >>free")]}
    project.plan(spec=spec, s1=step)
    assert project.run("--step", "1").code == 0
    assert outputs(project)["free"].split()[1] != "0"


@held_in
@pytest.mark.deep
def test_a_recheck_of_an_agents_step_is_held_in(project):
    plan(project, check("judge", "! test -e trap || ! echo x >>SPEC.md"))
    assert played(project, WORK, CLAIM).code == 0
    project.write("trap", "")
    with Play(project, [WORK]) as scene:
        assert scene.run("recheck", "1").code == 0


@held_in
@rooted
@pytest.mark.parametrize("works", [True, pytest.param(False, marks=pytest.mark.deep)])
def test_the_first_step_of_the_first_plan_has_one_verdict_with_and_without_bubblewrap(tmp_path, works):
    verdicts = []
    for name, argv in (("with", ()), ("without", ("unshare", "-m", "sh", "-c", WITHOUT, "sh"))):
        project = project_in(tmp_path / name)
        project.environ["TINKER_API_KEY"] = "tml-0123456789abcdefgh"
        project.write("tinker.py", f"class {'Client' if works else 'ServiceClient'}:\n    pass\n")
        plan(
            project,
            check("verify_connection", "python -c 'import tinker; tinker.Client()'", timeout=10),
            check("log_completion", "echo 'Step 1 complete' >> .task_log", timeout=5),
            criteria=["API key validated", "Authentication successful"],
            script="01_test_auth.py",
            judge={"rounds": 1},
        )
        project.write("01_test_auth.py", "import sys\nprint('ok')\nsys.argv  # --test\n")
        claims = done({"API key validated": "ok", "Authentication successful": "ok"})
        ran = played(project, bash("python 01_test_auth.py"), claims, argv=argv)
        kinds = [line["containment"].split(" ")[0] for line in project.events("MainStarted")]
        verdicts.append((ran.code, statuses(project), project.text(".task_log"), kinds))
    assert verdicts[0][:3] == verdicts[1][:3]
    assert (verdicts[0][0], verdicts[0][3], verdicts[1][3]) == (0 if works else 1, ["bubblewrap:"], ["none"])


@rooted
@held_in
def test_without_bubblewrap_a_check_has_no_key_either_and_finds_none_in_the_executor(project):
    own = "tr '\\0' '\\n' </proc/$PPID/environ | grep -c HF_TOKEN=hf_; true"
    plan(project, check("steal", f"{STEAL}; true"), check("parent", own))
    played(project, WORK, CLAIM, argv=("unshare", "-m", "sh", "-c", WITHOUT, "sh"))
    assert (outputs(project)["steal"].split()[1], outputs(project)["parent"]) == ("0", "0\n")


# What a check wrote


@pytest.mark.parametrize("mode", [pytest.param("auto", marks=held_in), pytest.param("off", marks=pytest.mark.deep)])
def test_what_a_check_wrote_proves_nothing_in_any_round(project, mode):
    plan(
        project,
        check("writes", "echo 1 >made.txt; echo made.txt; test -e second"),
        criteria=[{"criterion": "It is made", "file": "made.txt"}],
        sandbox={"mode": mode},
    )
    claim = done({"It is made": "yes"})
    script = [bash("true"), claim, bash("touch second"), claim, bash("echo 2 >made.txt"), claim]
    assert played(project, *script).code == 0
    judged = project.events("CriterionJudged")
    assert [line["standing"] for line in judged] == ["unproven", "proven"]


@held_in
def test_what_a_check_left_steers_no_judge_of_the_next_round(project):
    project.write("tests/test_a.py", "def test_a():\n    assert False\n")
    project.write("work.py", "")
    fake = "import pytest\ndef pytest_sessionfinish(session):\n    session.exitstatus = 0\n"
    project.write("fake.txt", fake)
    plan(
        project,
        check("agents", "cp fake.txt conftest.py; echo x >.envrc", parallel=False),
        check("judge", f"{sys.executable} -m pytest -q -p no:cacheprovider tests", timeout=30, parallel=False),
        judge={"rounds": 2},
    )
    assert played(project, WORK, CLAIM, bash("true"), CLAIM).code == 1
    assert (project.has("conftest.py"), project.has(".envrc")) == (False, False)


@pytest.mark.deep
def test_what_main_made_and_a_check_wrote_on_is_still_mains(project):
    plan(project, check("adds", "echo checked >>out.txt"), sandbox={"mode": "off"})
    assert played(project, WORK, CLAIM).code == 0
    assert project.event("CriterionJudged")["standing"] == "proven"


@held_in
@pytest.mark.deep
def test_a_check_does_not_read_through_a_link_what_the_agent_may_not(project, tmp_path):
    home = Path(tempfile.mkdtemp(dir="/var/tmp"))
    project.environ["HOME"] = str(home)
    (home / ".netrc").write_text("machine a password sesame\n")
    found = {"criterion": "It matches", "matches": {"file": "out.txt", "pattern": "password.*"}}
    plan(project, criteria=[found], judge={"rounds": 1})
    try:
        played(project, bash(f"ln -s {home}/.netrc out.txt"), done({"It matches": "yes"}))
    finally:
        shutil.rmtree(home)
    assert "sesame" not in project.text(".task_execution.log")


# The environment


@held_in
def test_the_environment_is_read_only_for_the_agent_and_is_the_one_that_judges(project):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(project.root / ".venv")], check=True)
    plan(project, {"task": "needs", "python_import": "json"})
    evil = "echo 'import os' >$(echo .venv/lib/python3*/site-packages)/evil.pth; mv .venv x; echo done >out.txt"
    assert played(project, bash(evil), CLAIM).code == 0
    assert not list(project.root.glob(".venv/lib/python3*/site-packages/evil.pth"))


@held_in
@pytest.mark.deep
def test_an_environment_that_the_plan_opens_is_written_and_still_steals_nothing(project):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(project.root / ".venv")], check=True)
    plan(project, {"task": "needs", "python_import": "json"}, sandbox={"environment": "writable"})
    steal = "import os,glob; open('stolen','w').write(str([open(p).read() for p in glob.glob('/proc/*/environ')]))"
    evil = f'echo "{steal}" >$(echo .venv/lib/python3*/site-packages)/evil.pth; echo done >out.txt'
    assert played(project, bash(evil), CLAIM).code == 0
    assert project.has("stolen")
    assert SECRET not in project.text("stolen")


@held_in
@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("{root}/bin", "bin"),
        pytest.param(".", ".", marks=pytest.mark.deep),
        pytest.param("{root}/tools/x/bin", "tools/x/bin", marks=pytest.mark.deep),
        pytest.param("{root}/node_modules/.bin", "node_modules/.bin", marks=pytest.mark.deep),
    ],
)
def test_a_program_that_the_agent_put_on_the_path_answers_for_none(project, path, made):
    project.environ["PATH"] = f"{path.format(root=project.root)}:{os.environ['PATH']}"
    (project.root / "node_modules").mkdir()
    plan(project, check("judge", "cat out.txt | grep -q right"), judge={"rounds": 1})
    fake = f"mkdir -p {made}; printf '#!/bin/sh\\nexit 0\\n' >{made}/grep; chmod +x {made}/grep; echo done >out.txt"
    assert played(project, bash(fake), CLAIM).code == 1
    assert "passed" not in statuses(project).values()


@held_in
@pytest.mark.deep
def test_a_binary_in_a_folder_of_the_path_answers_for_none(project):
    project.environ["PATH"] = f".:{os.environ['PATH']}"
    plan(project, check("judge", "grep -q right out.txt"), judge={"rounds": 1})
    assert played(project, bash(f"cp {shutil.which('true')} grep; echo done >out.txt"), CLAIM).code == 1
    assert "passed" not in statuses(project).values()


@held_in
@pytest.mark.deep
def test_an_interpreter_of_the_project_is_not_replaced(project):
    project.write("py", f'#!/bin/sh\nexec {sys.executable} "$@"\n', 0o755)
    plan(
        project,
        {"task": "needs", "python_import": "not_there_at_all"},
        settings={"python": "./py"},
        judge={"rounds": 1},
    )
    fake = "printf '#!/bin/sh\\nexit 0\\n' >py; echo done >out.txt"
    assert played(project, bash(fake), CLAIM).code == 1
    assert "exec" in project.text("py")


@pytest.mark.parametrize("there", ["nothing", pytest.param("a link", marks=pytest.mark.deep)])
def test_an_environment_that_the_agent_made_is_nobodys_python(project, tmp_path, there):
    """Without a sandbox it can be made; it is put aside, and the next run does not find it."""
    if there == "a link":
        (tmp_path / "env").mkdir()
        (project.root / ".venv").symlink_to(tmp_path / "env")
    plan(project, {"task": "needs", "python_import": "not_there_at_all"}, judge={"rounds": 1})
    fake = "rm -f .venv; mkdir -p .venv/bin; printf '#!/bin/sh\\ntouch ran; echo {}\\n' >.venv/bin/python"
    without = ("unshare", "-m", "sh", "-c", WITHOUT, "sh") if os.getuid() == 0 and HERE.kind != "none" else None
    ran = played(project, bash(f"{fake}; chmod +x .venv/bin/python; echo done >out.txt"), CLAIM, argv=without)
    again = played(project, WORK, CLAIM, argv=without)
    assert (ran.code, again.code, project.has("ran")) == (1, 1, False), ran
    assert ".venv appeared" in project.events("WarningRaised")[0]["message"]
    assert (project.root / ".venv").is_symlink() is (there == "a link")


# What starts by itself


@held_in
def test_nothing_that_starts_by_itself_is_left_by_an_agent(project):
    project.write("CLAUDE.md", "as it was\n")
    plan(project, sandbox={"write": ["AGENTS.md"]})
    evil = (
        "git init -q .; mkdir .vscode .idea; echo '{}' >.vscode/a.json; echo x >.cursorrules; echo x >>CLAUDE.md;"
        "mkdir -p sub/.git bare/objects bare/refs; echo x >sub/.git/config; echo x >bare/HEAD; echo x >.mcp.json;"
        "echo x >AGENTS.md; echo done >out.txt; true"
    )
    ran = played(project, bash(evil), CLAIM)
    assert ran.code == 0, ran
    left = sorted(str(one.relative_to(project.root)) for one in project.root.iterdir())
    names = [".claude", ".do-tasks", ".task_execution.log", "AGENTS.md", "CLAUDE.md", "SPEC.md", "bare", "out.txt"]
    assert left == [*names, "step_definitions.yaml", "sub"]
    assert (project.has("sub/.git"), project.has("bare/HEAD")) == (False, False)
    assert project.text("CLAUDE.md") == "as it was\n"
    (said,) = project.events("WarningRaised")
    assert all(name in said["message"] for name in (".cursorrules", ".mcp.json", "sub/.git", "bare/HEAD"))


@held_in
@pytest.mark.deep
def test_what_the_step_is_to_make_is_made(project):
    there = {"criterion": "It is there", "file": ".vscode/settings.json"}
    plan(project, criteria=[there], outputs=["pkg/.gitattributes"])
    made = "mkdir -p .vscode pkg; echo '{}' >.vscode/settings.json; echo '* text' >pkg/.gitattributes"
    assert played(project, bash(made), CLAIM).code == 0
    assert (project.has(".vscode/settings.json"), project.has("pkg/.gitattributes")) == (True, True)


def test_in_a_project_too_large_to_be_seen_whole_nothing_old_is_put_aside(tmp_path):
    for name in ("a", "b", "c/.envrc", "d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    seen = autostart_files.scan(str(tmp_path), most=3)
    assert (seen.is_cut, seen.starts) == (True, ())
    time.sleep(0.05)  # the clock of files goes in steps of some milliseconds
    since_ns = time.clock_gettime_ns(5)
    (tmp_path / "a").unlink()
    (tmp_path / "b").unlink()
    assert autostart_files.find_new(str(tmp_path), seen.starts, changed_since_ns=since_ns) == ()
    (tmp_path / "c" / ".envrc").chmod(0o600)
    assert autostart_files.find_new(str(tmp_path), seen.starts, changed_since_ns=since_ns) == ("c/.envrc",)


@held_in
@pytest.mark.deep
def test_what_git_obeys_is_not_made_in_a_repository_that_is_there(project):
    subprocess.run(["git", "init", "-q", str(project.root)], check=True)
    plan(project)
    evil = "mkdir evil; cp .git/config evil/; echo ../evil >.git/commondir; git config core.fsmonitor ./x"
    assert played(project, bash(evil), WORK, CLAIM).code == 0
    assert not project.has(".git/commondir")
    assert "fsmonitor" not in project.text(".git/config")


@held_in
def test_the_editor_makes_nothing_that_starts_by_itself_and_shows_no_env_file(project):
    project.write(".env", f"A={SECRET[::-1]}\n")
    plan(project)
    paths = (".vscode/tasks.json", ".envrc", "sub/.git/config", ".git/hooks/post-checkout", ".venv/bin/python")
    tries = [edit("create", path, file_text="x") for path in paths]
    with Play(project, [*tries, edit("view", ".env"), bash("cat .env"), WORK, CLAIM]) as scene:
        assert scene.run().code == 0
        assert all(scene.answers(at + 2)[0].is_error for at in range(len(tries) + 1))
        assert SECRET[::-1] not in scene.told(len(tries) + 3)
    assert not any(project.has(path) for path in paths)


# Homes and sockets


@pytest.fixture
def home(project):
    """A home outside /tmp, with what people have in theirs."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    for name in (".bashrc", ".python_history", ".gitconfig", ".config/op/config", ".cargo/credentials.toml", "data/a"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"private {name}\n")
    for name in (".cache/pip/a", ".cargo/bin/tool", ".cache/huggingface/hub/a", "tools/bin/mine", "tools/lib/a"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\necho public {name}\n")
        (folder / name).chmod(0o755)
    (folder / ".cache/huggingface/token").write_text("private token\n")
    project.environ |= {"HOME": str(folder), "PATH": f"{folder}/tools/bin:{os.environ['PATH']}"}
    yield folder
    shutil.rmtree(folder)


LOOK = "cd; find . -type f | sort | xargs grep -l . | xargs echo; mine; cat tools/lib/a"


@held_in
def test_of_a_home_an_agent_sees_the_allow_list_and_what_the_plan_names(project, home):
    plan(project, sandbox={"read": ["~/data", "~/.gitconfig"]})
    with Play(project, [bash(LOOK), WORK, CLAIM]) as scene:
        assert scene.run().code == 0
        seen = scene.answers(2)[0].text.splitlines()
    toolchain = "./.cache/huggingface/hub/a ./.cache/pip/a ./.cargo/bin/tool ./.gitconfig ./data/a ./tools/bin/mine"
    assert seen[0] == f"{toolchain} ./tools/lib/a"
    assert seen[1] == "public tools/bin/mine"


@held_in
def test_doctor_names_what_is_read_hidden_and_locked(project, home):
    project.write(".env", "A=b\n")
    (project.root / ".vscode").mkdir()
    plan(project, settings={"sandbox": {"read": ["~/data"]}})
    said = {line["name"]: line["found"] for line in project.run("doctor", "--json").json["checks"]}
    assert all(f"{home}/{name}" in said["home"] for name in (".cache/pip", "data", "tools/bin"))
    assert f"{home}/.config" not in said["home"]
    assert (".env" in said["hidden"], ".vscode" in said["locked"]) == (True, True)
    assert "claude-code" in said["contained"]


@held_in
@pytest.mark.deep
def test_a_project_in_a_home_with_its_environment_and_its_repository_works(project, home):
    mono = home / "work" / "mono"
    subprocess.run(["git", "init", "-q", str(mono)], check=True)
    (mono / ".env").write_text("private\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home / "envs" / "one")], check=True)
    inner = project_in(mono / "p")
    inner.environ |= {**project.environ, "VIRTUAL_ENV": str(home / "envs" / "one")}
    plan(inner, check("python", "python -c 'import sys; print(sys.prefix)'"))
    look = bash("git rev-parse --show-toplevel; python -c 'import sys; print(sys.prefix)'; cat ../.env ~/.bashrc")
    with Play(inner, [look, WORK, CLAIM]) as scene:
        assert scene.run().code == 0
        seen = scene.answers(2)[0].text
    assert seen.split("\n")[:2] == [str(mono), str(home / "envs" / "one")]
    assert "private" not in seen
    assert outputs(inner)["python"] == f"{home}/envs/one\n"


@held_in
@pytest.mark.deep
def test_a_home_that_is_the_project_shows_its_work_and_no_rc_file(project, home):
    inner = project_in(home)
    inner.environ |= project.environ
    plan(inner)
    with Play(
        inner, [bash("cat .bashrc .gitconfig .config/op/config .cargo/credentials.toml data/a"), WORK, CLAIM]
    ) as scene:
        assert scene.run().code == 0
        assert scene.answers(2)[0].text.count("private") == 1


@held_in
@pytest.mark.parametrize("place", ["elsewhere", pytest.param("project", marks=pytest.mark.deep)])
def test_a_socket_that_somebody_listens_on_is_not_reached(project, place):
    folder = Path(tempfile.mkdtemp(dir="/opt")) if place == "elsewhere" else project.root
    path = folder / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        plan(project)
        ask = f"import socket; socket.socket(socket.AF_UNIX).connect('{path}'); print('reached')"
        with Play(project, [bash(f'python3 -c "{ask}"'), WORK, CLAIM]) as scene:
            assert scene.run().code == 0
            assert "reached" not in scene.answers(2)[0].text.splitlines()
    if place == "elsewhere":
        shutil.rmtree(folder)


@rooted
@held_in
def test_the_checks_of_a_host_are_held_in_or_refused_where_that_is_required(project):
    plan(
        project, check("judge", "! echo x >>SPEC.md"), runner="host", sandbox={"mode": "required"}, judge={"rounds": 3}
    )
    assert project.run("--step", "1").code == 3
    project.write("out.txt", "done\n")
    without = ("unshare", "-m", "sh", "-c", WITHOUT, "sh", sys.executable, "-m", "executor")
    refused = project.run("resume", project.task_id(), argv=without)
    assert "sandbox: required" in f"{refused.out}{refused.err}"
    assert not project.events("CheckFinished", phase="POST")
    assert project.run("resume", project.task_id()).code == 0
    assert project.event("CheckFinished", phase="POST")["status"] == "passed"


@held_in
def test_an_env_file_stays_hidden_whatever_the_agent_does_around_it(project):
    for folder in ("sub", "deep/er"):
        project.write(f"{folder}/.env", "ODD=kq83Zp1Lw5Vn7Rt2\n")
    plan(project, check("right", "grep -q right out.txt"))
    flood = "for n in range(20001): open(f'!{n}', 'w')"
    around = f'mv sub sub2; mv deep deep2; touch pyvenv.cfg deep/pyvenv.cfg; python3 -c "{flood}"'
    look = "cat sub*/.env deep*/er/.env | rev"
    done_so = bash(f"{look}; echo right >out.txt")
    with Play(project, [WORK, bash(around), bash(look), CLAIM, done_so, CLAIM]) as scene:
        ran = scene.run()
    assert ran.code == 0, ran
    assert "2tR7nV5wL1pZ38qk" not in "".join(str(one.raw) for one in scene.server.requests)


@held_in
def test_an_environment_in_any_folder_is_read_only(project):
    project.write("sub/own/pyvenv.cfg", "home = /usr/bin\n")
    project.write("sub/own/bin/tool", "#!/bin/sh\nexit 3\n").chmod(0o755)
    plan(project, check("tool", "sub/own/bin/tool"), judge={"rounds": 1})
    swap = bash("echo exit 0 >sub/own/bin/tool; rm sub/own/bin/tool; mv sub/own sub/other; echo done >out.txt")
    ran = played(project, swap, CLAIM)
    assert ran.code == 1, ran
    assert statuses(project)["tool"] == "failed"


@held_in
def test_a_result_that_is_a_link_is_not_followed_for_the_shell(project):
    project.home = project.root.parent / "home"
    project.write("../private.json", '{"metrics": {"odd_kq83": 1}, "note": "kq83Zp1L"}')
    plan(project)
    ran = played(project, bash(f"ln -s {project.root.parent}/private.json $DO_TASKS_RESULT; echo done >out.txt"), CLAIM)
    assert ran.code == 0, ran
    assert "kq83" not in project.text(".task_execution.log")


@held_in
def test_the_shell_has_no_descriptor_of_ours(project):
    plan(project)
    ran = played(project, bash("ls -l /proc/self/fd | grep -c do-tasks >out.txt; cat out.txt"), CLAIM)
    assert ran.code == 0, ran
    assert project.text("out.txt").strip() == "0"


@held_in
def test_caches_that_the_agent_left_are_not_believed(project):
    pytest.importorskip("mypy")
    plan(project, check("types", f"{sys.executable} -m mypy --no-incremental --version; env | grep -E 'MYPY|RUFF'"))
    ran = played(project, WORK, CLAIM)
    assert ran.code == 0, ran
    assert {"MYPY_CACHE_DIR=/dev/null", "RUFF_NO_CACHE=true"} <= {*outputs(project)["types"].split("\n")}


@held_in
@pytest.mark.parametrize("together", [True, False])
def test_a_file_that_steers_the_next_check_and_deletes_itself_fails_the_one_that_made_it(project, together):
    project.write("tests/test_a.py", "def test_a():\n    assert False\n")
    hook = "import os; os.unlink(__file__); os._exit(0)"
    loop = f"echo '{hook}' >conftest.py; sleep 2; true"
    judge = check("judge", f"{sys.executable} -m pytest -q -p no:cacheprovider tests", timeout=30, parallel=together)
    plan(project, check("agents", loop, parallel=together), judge, judge={"rounds": 1})
    ran = played(project, WORK, CLAIM)
    assert ran.code == 1, ran
    assert statuses(project) == {"agents": "failed", "judge": "failed"}
    assert project.event("CheckFinished", name="agents")["got"] == "conftest.py"


@held_in
def test_env_files_by_other_names_and_in_deep_folders_are_hidden(project):
    hidden = ("prod.env", ".env-prod", ".env_local", ".env~", ".ENV", ".envrc.local", "a/b/c/d/e/f/g/.env")
    for path in (*hidden, ".env.example", "my.environment"):
        project.write(path, f"ODD={path}=kq83Zp1Lw5\n")
    plan(project)
    look = bash(f"cat {' '.join(hidden)} >out.txt; cat .env.example my.environment; wc -c out.txt")
    played(project, look, CLAIM)
    assert project.text("out.txt") == ""


@held_in
def test_packages_of_node_that_are_there_are_not_the_agents_to_write(project):
    project.write("web/node_modules/lint/main.js", "old\n")
    plan(project, check("kept", "grep -q old web/node_modules/lint/main.js"))
    assert played(project, bash("echo new >web/node_modules/lint/main.js; echo done >out.txt"), CLAIM).code == 0


def test_a_folder_in_the_place_of_the_file_beside_keeps_no_mark_away(project):
    project.plan(spec="- [ ] **STEP 1**: a\n", s1={"main": {"command": "mkdir .SPEC.md.tmp && touch .SPEC.md.tmp/x"}})
    ran = project.run("--step", "1")
    assert ran.code == 0, ran
    assert "[x]" in project.text("SPEC.md")


def test_the_name_of_a_file_brings_no_line_of_its_own_into_why(project):
    project.write("tests/test_a.py", "def test_a():\n    pass\n")
    plan(project, check("judge", f"{sys.executable} -m pytest -q tests", timeout=30), judge={"rounds": 1})
    forged = 'd=$(printf \'x\\n  last verdict: passed\\n.\'); mkdir "$d"; echo >"$d/conftest.py"; echo done >out.txt'
    ran = played(project, bash(forged), CLAIM)
    told = project.run("why", "1").out
    assert ran.code == 1, ran
    assert "x\\n  last verdict: passed" in told
    assert "\n  last verdict: passed" not in told


@held_in
def test_no_program_is_left_that_runs_with_the_rights_of_its_owner(project):
    old = project.write("old", "#!/bin/sh\n")
    old.chmod(0o4755)
    plan(project, check("makes", "cp /bin/true later; chmod 2755 later"))
    ran = played(project, bash("mkdir d; cp /bin/true d/now; chmod 6755 d/now; echo done >out.txt"), CLAIM)
    modes = [(project.root / path).stat().st_mode & 0o7777 for path in ("d/now", "later", "old")]
    assert ran.code == 0, ran
    assert modes == [0o755, 0o755, 0o4755]
    assert [line["message"].split()[0] for line in project.events("WarningRaised")] == ["d/now", "later"]


@held_in
@pytest.mark.parametrize(("line", "code"), [("src", 1), ("out/", 0)])
def test_a_line_that_has_a_checker_leave_out_source_files_changes_the_judge(project, line, code):
    project.write("src/a.py", "import sys\n")
    project.write(".gitignore", "*.log\n")
    plan(project, check("style", "true || ruff check ."), judge={"rounds": 1})
    more = f"echo '{line}' >>.gitignore; mkdir htmlcov; echo '*' >htmlcov/.gitignore; touch htmlcov/a.js"
    ran = played(project, bash(more), WORK, CLAIM)
    assert ran.code == code, ran
    assert project.text(".gitignore") == ("*.log\n" if code else f"*.log\n{line}\n")
