"""Holds every way out shut: secrets stay in, and nothing that is printed drives a terminal."""

from __future__ import annotations

import base64
import json
import os
import signal
import urllib.parse

import pytest

from tests.integration.projects import Project, alive, check, command, finish, until

KEY = "tml-Zq8Rk2Vx7Lw3Np5Ts9Yb1Mc4/+="
WEAK = "hunter2abc"
ENCODED = base64.b64encode(KEY.encode()).decode()
FORMS = {KEY, ENCODED, urllib.parse.quote(KEY, safe=""), *(KEY[at : at + 6] for at in range(len(KEY) - 5))}
ENVIRON = {"TINKER_API_KEY": KEY, "DB_PASSWORD": WEAK}
RAISES = (
    "import os, sys; print(os.environ['TINKER_API_KEY'], flush=True); raise ValueError(os.environ['TINKER_API_KEY'])"
)
TELLS_ALL = """\
echo "key=$TINKER_API_KEY"
echo "$TINKER_API_KEY" >&2
printf %s "$TINKER_API_KEY" | base64
printf '{"criteria": {"done": {"met": true, "evidence": "%s"}}, "metrics": {"%s": 1}, "note": "%s"}' \\
  "$TINKER_API_KEY" "$TINKER_API_KEY" "$TINKER_API_KEY" >"$DO_TASKS_RESULT"
"""


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "project")
    project.environ = dict(ENVIRON)
    return project


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    """One run of steps that tell their key wherever they can."""
    project = Project(tmp_path_factory.mktemp("leaky"))
    project.environ = dict(ENVIRON)
    project.write("raises.py", RAISES)
    project.write("tells.sh", TELLS_ALL)
    spill = r"head -c 5000 /dev/zero | tr '\0' a; echo $TINKER_API_KEY; exit 1"
    project.plan(
        s1={**command("true"), "pre_flight": [check("prints", "echo $TINKER_API_KEY; exit 1")]},
        s2={**command("true"), "post_validation": [check("spills", spill), check("b64", "printenv | base64 -w0")]},
        s3={"main": {"script": "raises.py"}},
        s4={"main": {"script": "raises.py", "test": "none"}},
        s5={"main": {"script": "tells.sh", "test": "none", "success_criteria": ["done"]}},
        s6=command("true", success_criteria=[{"criterion": "a", "command": "echo $TINKER_API_KEY; exit 1"}]),
        s7=command(f"echo {KEY}", objective=f"say {KEY}"),
        s8=command("printf '{%s' $TINKER_API_KEY >$DO_TASKS_RESULT", success_criteria=["done"]),
    )
    project.done = project.run("--all", "--keep-going")
    return project


def leaks(text):
    return sorted(form for form in FORMS if form in text)


def written(project):
    """All that we wrote: not the plan, nor the copy of it that is kept to read it faster."""
    ours = [path for path in project.root.rglob("*") if path.is_file() and "cache" not in path.parts]
    return [path for path in ours if path.name not in ("step_definitions.yaml", "raises.py", "tells.sh")]


def test_the_run_went_where_the_key_was_told(leaky):
    done = {line["step"] for line in leaky.events("StepPassed")}
    assert (leaky.done.code, done) == (1, {5, 7})


def test_no_secret_in_any_file_that_we_wrote(leaky):
    found = {str(path): leaks(path.read_bytes().decode("latin-1")) for path in written(leaky)}
    assert {path: forms for path, forms in found.items() if forms} == {}


def test_no_secret_on_the_terminal(leaky):
    assert leaks(leaky.done.out + leaky.done.err) == []


@pytest.mark.parametrize("words", [["list"], ["why", "1-8"], ["log"], ["validate"], ["doctor"], ["--dry-run", "--all"]])
def test_no_secret_from_a_read_verb(leaky, words):
    done = leaky.run(*words)
    assert leaks(done.out + done.err) == []


def test_raw_files_are_masked_in_place_at_equal_length(leaky):
    (run,) = leaky.events("MainStarted", step=5)
    path = leaky.root / ".do-tasks" / "jobs" / run["task_id"] / "main.1" / "stdout.log"
    assert path.read_text() == f"key={'*' * len(KEY)}\n{'*' * len(ENCODED)}\n"


def test_a_spill_file_is_masked_at_equal_length(leaky):
    path = leaky.root / leaky.check("spills")["output_file"]
    assert path.read_bytes() == b"a" * 5000 + b"*" * len(KEY) + b"\n"


def test_what_we_keep_of_a_run_is_its_owners_alone(leaky):
    jobs = leaky.root / ".do-tasks" / "jobs"
    folders = {path.stat().st_mode & 0o777 for path in (jobs, *jobs.rglob("*")) if path.is_dir()}
    files = {path.stat().st_mode & 0o777 for path in (leaky.root / ".task_execution.log", *jobs.rglob("*.log"))}
    assert (folders, files) == ({0o700}, {0o600})


def test_the_reason_of_a_failure_is_kept_without_the_secret(leaky):
    (failed,) = leaky.events("StepFailed", step=4)
    assert failed["reason"].startswith("exit 1: ValueError: ***")


@pytest.mark.parametrize("form", [WEAK, ENCODED])
def test_a_secret_cut_by_the_tail_does_not_show_its_end(project, form):
    text = f"printf %s {form}; head -c 4090 /dev/zero | tr '\\0' a"
    project.plan(s1={**command("true"), "pre_flight": [check("cut", text)]}).run("--step", "1")
    assert project.check("cut")["output"].rstrip("a") == "*" * 6


def test_long_keys_are_masked_when_base64_wraps(project):
    project.environ["TINKER_API_KEY"] = key = "tml-" + "Zq8Rk2Vx7Lw3Np5Ts9Yb1Mc4" * 4
    project.plan(s1={**command("true"), "pre_flight": [check("wraps", "printf %s $TINKER_API_KEY | base64")]})
    project.run("--step", "1")
    lines = [line for line in base64.encodebytes(key.encode()).decode().split() if line]
    assert [line for line in lines if line in project.check("wraps")["output"]] == []


# Runs whose end nobody saw

PRINTS = "echo $TINKER_API_KEY; [ -e up ] || {{ echo $$ >up; {}; }}"


def left_alone(project, then):
    """An executor killed while its MAIN, which has told the key, goes on."""
    project.plan(s1=command(PRINTS.format(then)))
    process = project.start("--step", "1")
    project.until_there("up")
    process.kill()
    finish(process)
    return int(project.text("up"))


def raw_output(project):
    (path,) = project.root.glob(".do-tasks/jobs/*/main.1/stdout.log")
    return path.read_text()


def test_a_run_that_ended_unseen_is_masked_when_it_is_adopted(project):
    pid = left_alone(project, "true")
    until(lambda: not alive(pid), "MAIN did not end")
    project.run("--continue")
    assert raw_output(project) == "*" * len(KEY) + "\n"


def test_a_lost_run_is_masked_when_its_loss_is_seen(project):
    pid = left_alone(project, "sleep 300")
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    until(lambda: not alive(pid), "MAIN did not end")
    project.run("--continue")
    assert raw_output(project) == "*" * len(KEY) + "\n"


def test_a_stopped_run_is_masked_by_who_stopped_it(project):
    left_alone(project, "sleep 300")
    project.run("stop", project.task_id())
    assert raw_output(project) == "*" * len(KEY) + "\n"


def test_a_spill_file_of_a_killed_executor_is_masked_by_the_next(project):
    spills = r"echo $TINKER_API_KEY; head -c 5000 /dev/zero | tr '\0' a; [ -e up ] || { echo $$ >up; sleep 300; }"
    project.plan(s1={**command("true"), "pre_flight": [check("spills", spills)]})
    process = project.start("--step", "1")
    project.until_there("up")
    until(lambda: list(project.root.glob(".do-tasks/jobs/*/*.log")), "nothing was spilled")
    process.kill()
    finish(process)
    project.plan(s1={**command("true"), "pre_flight": [check("quiet", "true")]})
    project.run("--continue")
    assert [leaks(path.read_text()) for path in project.root.glob(".do-tasks/jobs/*/*.log")] == [[]]


# What drives a terminal

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
NAME = "a \u202e name"  # the loader lets no other control character into a plan
FORBIDDEN = "\x1b\x07\x9b\u202e"


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """One run whose names, titles and outputs all try to drive the terminal."""
    project = Project(tmp_path_factory.mktemp("evil"))
    project.write("evil", EVIL)
    spec = "".join(f"- [ ] **STEP {number}**: {EVIL}\n" for number in (1, 2, 3, 4))
    says = "cat evil; cat evil >&2; exit 3"
    project.plan(
        spec=spec,
        s1={**command("true"), "title": NAME, "pre_flight": [check(NAME, says)]},
        s2={**command(says, objective=NAME), "title": NAME},
        s3={**command("true", success_criteria=[{"criterion": NAME, "command": says}]), "title": NAME},
    )
    project.done = project.run("--all", "--keep-going")
    return project


def drives(text):
    return [char for char in FORBIDDEN if char in text]


def test_a_transcript_drives_no_terminal(evil):
    assert (evil.done.code, drives(evil.done.out + evil.done.err)) == (1, [])


@pytest.mark.parametrize("json", [[], ["--json"]])
@pytest.mark.parametrize("words", [["list"], ["why", "1-3"], ["log"], ["validate"], ["--dry-run", "--all"]])
def test_a_read_verb_drives_no_terminal(evil, words, json):
    done = evil.run(*words, *json)
    assert (done.code, drives(done.out + done.err)) == (0, [])


def test_a_line_grepped_from_the_log_drives_no_terminal(evil):
    assert drives(evil.text(".task_execution.log")) == []


def test_the_log_still_holds_what_was_printed(evil):
    (finished,) = evil.events("MainFinished", step=2)
    assert finished["output"].startswith(EVIL)


@pytest.mark.parametrize(
    "words", [["--step", EVIL], [EVIL], ["log", EVIL], ["why", EVIL], ["stop", EVIL], ["--step", "4"]]
)
def test_an_error_drives_no_terminal(evil, words):
    done = evil.run(*words)
    assert (done.code, drives(done.out + done.err)) == (2, [])


def test_a_problem_of_the_plan_drives_no_terminal(project):
    project.plan(s1=command("true"))
    project.write("step_definitions.yaml", 'step_1_a: {"\\e[31mx": 1, main: {command: "\\e[31m", mode: "\\e[31m"}}\n')
    done = project.run("validate")
    assert (done.code, drives(done.out + done.err)) == (2, [])


def test_a_folder_with_an_odd_name_drives_no_terminal(tmp_path):
    project = Project(tmp_path / "\x1b[31mred").plan(s1=command("true"))
    outputs = [project.run(*words).out for words in (["doctor"], ["--step", "1"], ["init"])]
    assert drives("".join(outputs)) == []


# Results are judged as they were written

SIX_DIGITS = "tml-test-0123456789"
CLAIM = '{"training done": {"met": true, "evidence": "seen"}}'
REPORTS = f"""printf '{{"metrics": {{"loss": 0.123456, "accuracy": 0.9}}, "criteria": {CLAIM},"""


def judged(project, note, *criteria):
    """A step whose criteria rest on its result file; a key with a word, one with digits, and one that is a name."""
    project.environ = {"TINKER_API_KEY": SIX_DIGITS, "DB_PASSWORD": "accuracy", "HF_TOKEN": "hf_training-done-77Qx9"}
    project.plan(s1=command(f"""{REPORTS} "note": "{note}"}}' >$DO_TASKS_RESULT""", success_criteria=list(criteria)))
    return project.run("--step", "1")


def result_of(project):
    (path,) = project.root.glob(".do-tasks/jobs/*/main.1/result.json")
    return path.read_text()


def test_numbers_and_names_of_a_result_count_whatever_the_keys_are(project):
    below = {"criterion": "Loss is down", "metric": {"name": "loss", "max": 0.5}}
    named = {"criterion": "Good", "metric": {"name": "accuracy", "min": 0.5}}
    done = judged(project, f"by {SIX_DIGITS}", below, named, {"criterion": "training done", "result": True})
    assert (done.code, "by ***" in project.spec) == (0, True)
    assert json.loads(result_of(project)) == {
        "metrics": {"loss": 0.123456, "accuracy": 0.9},
        "criteria": {"training done": {"met": True, "evidence": "seen"}},
        "note": "by ***",
    }


def test_a_masked_result_is_judged_again_as_before(project):
    named = {"criterion": "Good", "metric": {"name": "accuracy", "min": 0.5}}
    judged(project, "x", named)
    first = result_of(project)
    project.plan(
        s1={
            **command(f"""{REPORTS} "note": "x"}}' >$DO_TASKS_RESULT""", success_criteria=[named]),
            "post_validation": [check("missing", "test -e there")],
        }
    )
    (project.root / ".task_execution.log").unlink()
    assert project.run("--step", "1").code == 1
    project.write("there", "x")
    done = project.run("--continue")
    assert (done.code, "MAIN" in done.out, len(project.events("MainReused"))) == (0, True, 1)
    assert first


def test_a_reason_says_what_its_marks_mean(project):
    project.plan(s1=command("echo no such user: $DB_PASSWORD >&2; exit 3"))
    project.run("--step", "1")
    reason = project.event("StepFailed")["reason"]
    assert reason == "exit 3: no such user: ********** (*** is a secret, masked)"


# Env files

MOOD = "cheerful-mood-42"
ENV_FILE = f"# of the service\nexport MOOD='{MOOD}'\nSIZE=32\nDATA=/data/set\n"
SHOWS = 'echo "$MOOD $SIZE $DATA" | tee seen'


def with_file(project, main, **step):
    project.write(".env.train", ENV_FILE, mode=0o600)
    main = {"test": "none", "env_file": ".env.train", **main}
    return project.plan(s1={"main": main, **step}, s2=command("env >other"))


def test_an_env_file_is_given_to_its_step_alone(project):
    asked = [check("set", 'test "$MOOD$SIZE" = cheerful-mood-4232'), {"task": "env", "env_set": "MOOD"}]
    with_file(project, {"command": SHOWS, "test": {"command": "test $SIZE = 32"}}, pre_flight=asked)
    done = project.run("--all")
    assert (done.code, project.text("seen")) == (0, f"{MOOD} 32 /data/set\n")
    assert "MOOD" not in project.text("other")


def test_what_an_env_file_sets_is_masked_whatever_its_name(project):
    with_file(project, {"command": SHOWS})
    done = project.run("--all")
    raw = "".join(path.read_text() for path in project.root.glob(".do-tasks/jobs/*/*/stdout.log"))
    assert MOOD not in done.out + project.text(".task_execution.log") + raw
    assert "32 /data/set" in raw


def test_a_step_whose_env_file_is_gone_or_wrong_says_where(project):
    with_file(project, {"command": SHOWS})
    project.write(".env.train", f"MOOD={MOOD}\nnonsense {MOOD}\n")
    wrong = project.run("validate")
    assert (wrong.code, ".env.train:2: no = behind nonsense" in wrong.out, MOOD in wrong.out) == (2, True, False)
    failed = project.run("--step", "1")
    assert (failed.code, ".env.train:2" in project.spec, project.has("seen")) == (1, True, False)
    (project.root / ".env.train").unlink()
    missing = project.run("validate")
    assert (missing.code, "warning" in missing.out, "No such file" in missing.out) == (0, True, True)
    assert project.run("--step", "1").code == 1
    assert not project.has("seen")


def test_another_key_in_an_env_file_is_no_other_work(project):
    with_file(project, {"command": SHOWS}, post_validation=[check("there", "test -e there")])
    project.run("--step", "1")
    project.write(".env.train", "MOOD=another-mood-43\n")
    project.write("there", "x")
    project.run("--step", "1")
    assert len(project.events("MainStarted")) == 1


# A job that lives, seen from elsewhere

TALKS = """\
printf '%s' "tml-Zq8Rk2Vx7Lw3"
sleep 0.5
printf '%s\\n' "Np5Ts9Yb1Mc4/+="
echo "mood $MOOD" >&2
echo up >up
while [ ! -e end ]; do sleep 0.05; done
"""


@pytest.fixture
def job(project):
    """A job that has told its keys, and whose reader has none of them in the environment."""
    project.write("talks.sh", TALKS)
    seen = {"task": "see", "command": 'cat seen; echo "$MOOD"; env >by_monitor', "interval": 1, "alert_on": "mood"}
    notify = [{"command": "env >by_notifier"}]
    with_file(project, {"command": "bash talks.sh", "mode": "background"}, background=[seen])
    body = json.loads(project.text("step_definitions.yaml"))
    project.write("step_definitions.yaml", json.dumps({**body, "settings": {"notify": notify}}))
    project.write("seen", f"{KEY} is in a good mood\n")
    project.run("--step", "1")
    project.until_there("up")
    project.until_there("by_notifier")
    yield project
    project.write("end", "x")
    project.run("stop", project.events("TaskStarted")[0]["task_id"], "--grace", "0")


def test_no_reader_of_a_living_job_shows_its_keys_without_knowing_them(job):
    task_id = job.events("TaskStarted")[0]["task_id"]
    job.environ = {}
    follower = job.start("log", task_id, "--follow")
    shown = [job.run(*words) for words in (["--monitor"], ["--monitor", "--json"], ["list"], ["why", "1"], ["log"])]
    job.write("end", "x")
    shown.append(finish(follower))
    text = "".join(done.out + done.err for done in shown)
    assert [word for word in (*FORMS, MOOD) if word in text] == []
    assert "mood" in text
    assert [word for word in (KEY, MOOD) if word in job.text(".task_execution.log")] == []


def test_monitors_and_notifiers_see_neither_keys_nor_env_files(job):
    given = job.text("by_monitor") + job.text("by_notifier")
    assert [word for word in (KEY, WEAK, MOOD, "SIZE=32") if word in given] == []
    assert "DO_TASKS_STEP=1" in given


# Cut where a secret stands


@pytest.mark.parametrize("cut", [4090, 4093])
def test_a_secret_cut_by_the_tail_of_a_criterion_or_an_alert_shows_no_half(project, cut):
    text = f"printf %s $DB_PASSWORD; head -c {cut} /dev/zero | tr '\\0' a; exit 1"
    project.plan(s1=command("true", success_criteria=[{"criterion": "c", "command": text}]))
    project.run("--step", "1")
    judged = project.event("CriterionJudged")
    assert [WEAK[at:] for at in range(8) if WEAK[at:] + "a" in json.dumps(judged)] == []


DIES = """\
echo "$MOOD" >>moods
[ $(wc -l <moods) -eq 2 ] && rm .env.train || echo MOOD=brighter-sky-7 >.env.train
exit 3
"""


def test_a_restart_reads_the_env_file_again_and_says_when_it_cannot(project):
    project.write("dies.sh", DIES)
    retry = {"attempts": 5, "on": ["exit:3"]}
    with_file(project, {"command": "bash dies.sh", "mode": "background", "retry": retry})
    project.run("--step", "1")
    project.run("--monitor", "--until", "finished", "--timeout", "60")
    assert project.text("moods") == f"{MOOD}\nbrighter-sky-7\n"
    reason = project.event("StepFailed")["reason"]
    assert "not started again: env_file .env.train: No such file" in reason
    assert "brighter" not in project.text(".task_execution.log")


# Ended from a terminal that has none of the keys


@pytest.mark.parametrize("words", [["--continue"], ["stop"]])
def test_a_run_is_masked_by_who_ends_it_without_knowing_its_keys(project, words):
    left_alone(project, "until [ -e end ]; do sleep 0.05; done; echo $TINKER_API_KEY")
    project.environ = {}
    process = project.start(*words, *([project.task_id()] if words == ["stop"] else ()))
    if words != ["stop"]:
        project.until_logged("MainAdopted")
        project.write("end", "x")
    finish(process)
    shown = raw_output(project) + project.text(".task_execution.log") + project.spec
    assert (leaks(shown), "*" * len(KEY) in shown) == ([], True)
