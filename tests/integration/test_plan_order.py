"""A plan whose jobs end while other steps run: it goes on, in order, and its last word is true.

Files say when a job ends: no test sleeps to hit a moment. What a step waits for is given up after some seconds.
"""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest

from tests.integration.projects import Project, alive, check, command, finish, until

JOB = """\
echo "$DO_TASKS_RUN $$" >>runs.txt
until [ -e end$DO_TASKS_STEP ]; do sleep 0.02; done
sh end$DO_TASKS_STEP
"""
AWAIT = """\
for i in $(seq 1 1000); do
  grep -q "\\"step\\": $1, .*\\"event\\": \\"Step[PF]" .task_execution.log && exit 0
  sleep 0.02
done
exit 9
"""
RESTART = {"restart": {"from": "latest_checkpoint", "attempts": 2, "backoff": 1}}
WAYS = {"exit 0": "exit 0", "failure": "exit 3", "death": "kill -9 $PPID", "alert": "echo trouble >>said; sleep 30"}


def long(*values):
    """Cases that make test leaves to make test-deep."""
    return [pytest.param(value, marks=pytest.mark.deep) for value in values]


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "p")
    project.write("job.sh", JOB)
    project.write("await.sh", AWAIT)
    yield project
    for number in range(1, 10):
        project.write(f"end{number}", "exit 0")
    for line in project.text("runs.txt").splitlines() if project.has("runs.txt") else ():
        pid = int(line.split()[1])
        if alive(pid):
            os.killpg(os.getpgid(pid), signal.SIGKILL)


def job(**more):
    looks = [{"task": "trouble", "log": "said", "alert_on": "trouble", "interval": 0.2, "on_alert": "stop"}]
    main = {"command": "bash job.sh", "test": "none", "mode": "background", "timeout": 30}
    return {"main": main | more.pop("main", {}), "background": looks, **more}


def ends(number, how="exit 0"):
    """A command that has a job end, and waits until the log has its verdict."""
    return f"echo '{WAYS.get(how, how)}' >new; mv new end{number}; sh await.sh {number}"


def waits_for(name):
    """A command that waits for a file of a test."""
    return f"for i in $(seq 1 1000); do [ -e {name} ] && exit 0; sleep 0.02; done; exit 9"


def ran(name, depends=None):
    """A step that leaves its name in order.txt."""
    return command(f"echo {name} >>order.txt") | ({} if depends is None else {"depends_on": depends})


def order(project):
    return project.text("order.txt").split() if project.has("order.txt") else []


def boxes(project):
    return "".join(re.findall(r"^- \[(.)\]", project.spec, re.MULTILINE))


def mains(project, number):
    return len(project.events("MainStarted", step=number))


def ready(project):
    return [row["step"] for row in project.run("list", "--ready", "--json").json["steps"]]


def flagship(project, how="exit 0"):
    """A training, another step during which it ends, a step that depends on it."""
    return project.plan(s1=job(), s2=command(ends(1, how)), s3=ran("eval", [1]), s4=ran("report"))


# The job ends while another step runs


@pytest.mark.parametrize(
    "words", ["--continue", "--step 1-4", *long("--all", "--continue --no-wait", "--all --keep-going")]
)
def test_a_plan_whose_training_ends_during_another_step_goes_to_its_end(project, words):
    done = flagship(project).run(*words.split())
    assert done.code == 0, done
    assert (boxes(project), order(project), mains(project, 1)) == ("xxxx", ["eval", "report"], 1)
    assert "--rerun" not in done.out + done.err


@pytest.mark.parametrize("how", ["death", *long("failure", "alert")])
def test_a_training_that_fails_during_another_step_stops_the_plan_with_its_reason(project, how):
    done = flagship(project, how).run("--continue")
    assert done.code == 1, done
    assert (boxes(project), order(project), mains(project, 1)) == (" x  ", [], 1)
    reason = project.event("StepFailed", step=1)["reason"]
    assert reason in done.out
    assert "--rerun" not in done.out + done.err


def test_keep_going_goes_past_a_training_that_failed_but_not_to_what_depends_on_it(project):
    done = flagship(project, "failure").run("--all", "--keep-going")
    assert done.code == 1, done
    assert (boxes(project), order(project), mains(project, 1)) == (" x x", ["report"], 1)


PLACES = {
    "pre-flight": lambda text: command("true") | {"pre_flight": [check("look", text)]},
    "post": lambda text: command("true") | {"post_validation": [check("look", text)]},
    "criterion": lambda text: command("true", success_criteria=[{"criterion": "It ended", "command": text}]),
}


@pytest.mark.parametrize("place", ["post", *long("pre-flight", "criterion")])
def test_the_training_may_end_in_any_phase_of_the_other_step(project, place):
    done = project.plan(s1=job(), s2=PLACES[place](ends(1)), s3=ran("eval", [1])).run("--continue")
    assert done.code == 0, done
    assert (boxes(project), order(project), mains(project, 1)) == ("xxx", ["eval"], 1)


# The job comes later in the same selection, or there are two


@pytest.mark.parametrize("words", ["--continue", *long("--step 1-3")])
def test_a_job_that_was_started_before_may_end_while_an_earlier_step_runs(project, words):
    project.plan(s1=command(ends(2)), s2=job(), s3=ran("eval", [2]))
    assert project.run("--step", "2").code == 0
    done = project.run(*words.split())
    assert done.code == 0, done
    assert (boxes(project), order(project), mains(project, 2)) == ("xxx", ["eval"], 1)


def test_a_job_that_fails_while_an_earlier_step_runs_is_not_begun_again_by_that_run(project):
    project.plan(s1=command(ends(2, "failure")), s2=job(), s3=ran("eval", [2]))
    assert project.run("--step", "2").code == 0
    done = project.run("--continue")
    assert done.code == 1, done
    assert (boxes(project), order(project), mains(project, 2)) == ("x  ", [], 1)


def test_a_job_may_end_while_another_is_waited_for(project):
    project.plan(s3=job(), s7=job(), s12=ran("first", [3]), s20=ran("both", [7, 3]))
    process = project.start("--continue")
    until(lambda: project.events("JobStarted", step=7), "step 7 never started")
    project.write("end7", "exit 0")
    until(lambda: project.events("SpecTicked", step=7), "step 7 was never ticked")
    assert order(project) == []
    project.write("end3", "exit 0")
    done = finish(process)
    assert done.code == 0, done
    assert (boxes(project), order(project)) == ("xxxx", ["first", "both"])


@pytest.mark.deep
def test_of_two_jobs_the_step_runs_first_whose_job_ends_first(project):
    project.plan(s1=job(), s2=job(), s3=ran("after 1", [1]), s4=ran("after 2", [2]))
    process = project.start("--continue")
    until(lambda: "waiting for" in str(project.events("WarningRaised")), "nothing was waited for")
    project.write("end2", "exit 0")
    until(lambda: project.events("SpecTicked", step=4), "step 4 waited for a job that it does not depend on")
    project.write("end1", "exit 0")
    assert finish(process).code == 0
    assert project.text("order.txt") == "after 2\nafter 1\n"


# Order: what is ready runs while another step waits


def test_what_depends_on_nothing_runs_while_a_step_waits_for_a_job(project):
    third = command(f"echo 3 >>order.txt; {ends(1)}") | {"depends_on": []}
    done = project.plan(s1=job(), s2=ran("2", [1]), s3=third, s4=ran("4")).run("--continue")
    assert done.code == 0, done
    assert (boxes(project), order(project), mains(project, 1)) == ("xxxx", ["3", "2", "4"], 1)


def test_a_step_without_written_dependencies_overtakes_none(project):
    project.plan(s1=job(), s2=ran("2", [1]), s3=ran("3"), s4=ran("4", []))
    process = project.start("--continue")
    until(lambda: project.events("SpecTicked", step=4), "step 4 depends on nothing and waited")
    until(lambda: "waiting for" in str(project.events("WarningRaised")), "nothing was waited for")
    assert order(project) == ["4"]
    project.write("end1", "exit 0")
    assert finish(process).code == 0
    assert order(project) == ["4", "2", "3"]


def test_a_step_waits_for_one_that_waits(project):
    fourth = command(f"echo 4 >>order.txt; {ends(1)}") | {"depends_on": []}
    done = project.plan(s1=job(), s2=ran("2", [1]), s3=ran("3", [2]), s4=fourth).run("--all")
    assert done.code == 0, done
    assert order(project) == ["4", "2", "3"]


def test_without_waiting_what_is_ready_runs_and_what_waits_is_named(project):
    project.plan(s1=job(), s2=ran("2", [1]), s3=ran("3", []), s4=ran("4"), s5=ran("5", [1]))
    done = project.run("--continue", "--no-wait")
    assert done.code == 3, done
    assert order(project) == ["3"]
    assert "Step 2 waits for the end of step 1" in done.out
    assert "Step 5 waits for the end of step 1" in done.out


@pytest.mark.deep
def test_a_wait_that_is_over_is_exit_3_and_what_is_ready_has_run(project):
    done = project.plan(s1=job(), s2=ran("2", [1]), s3=ran("3", [])).run("--all", "--wait", "0.3")
    assert done.code == 3, done
    assert order(project) == ["3"]
    assert "did not get that far in 0.3 s" in done.out


@pytest.mark.deep
def test_a_failure_beside_a_waiting_step_stops_the_run(project):
    third = command("exit 4") | {"depends_on": []}
    done = project.plan(s1=job(), s2=ran("2", [1]), s3=third, s4=ran("4", [])).run("--continue")
    assert done.code == 1, done
    assert (boxes(project), order(project)) == ("~   ", [])


@pytest.mark.parametrize("how", ["failure", *long("death", "alert")])
def test_a_step_that_waits_is_told_how_the_job_ended(project, how):
    project.plan(s1=job(), s2=ran("2", [1]), s3=command(ends(1, how)) | {"depends_on": []}, s4=ran("4"))
    done = project.run("--continue")
    assert done.code == 1, done
    assert (boxes(project), order(project), mains(project, 1)) == ("  x ", [], 1)


def test_ready_is_one_rule(project):
    sixth = ran("6", [{"step": 1, "until": "started"}])
    project.plan(s1=job(), s2=ran("2"), s3=ran("3"), s4=ran("4", []), s5=ran("5", [1]), s6=sixth)
    assert ready(project) == [1, 4]
    assert project.run("--step", "1").code == 0
    assert ready(project) == [2, 4, 6]


def test_a_dry_run_tells_what_waits_and_what_runs_meanwhile(project):
    project.plan(s1=job(), s2=ran("2", [1]), s3=ran("3", []), s4=ran("4"))
    told = project.run("--continue", "--dry-run").out.splitlines()
    assert [line.partition("; ")[2] for line in told] == [
        *("", "it waits for the end of step 1", "it runs while step 2 waits", "it comes after step 2")
    ]
    assert not project.has(".task_execution.log")


# Other hands on the plan while a step runs


def test_a_job_stopped_from_another_terminal_is_not_started_again_by_the_run(project):
    project.plan(s1=job(), s2=command(waits_for("go")), s3=ran("eval", [1]))
    process = project.start("--continue")
    until(lambda: project.events("MainStarted", step=2), "step 2 never ran")
    assert project.run("stop", project.event("JobStarted")["task_id"]).code == 0
    project.write("go", "")
    done = finish(process)
    assert done.code == 1, done
    assert (boxes(project), order(project), mains(project, 1)) == (" x ", [], 1)


def test_a_step_marked_done_from_another_terminal_does_not_run(project):
    project.plan(s1=job(), s2=command(ends(1) + "; " + waits_for("go")), s3=ran("3", [1]), s4=ran("4"))
    process = project.start("--continue")
    until(lambda: project.events("SpecTicked", step=1), "the job never ended")  # what passed later would outrun it
    assert project.run("mark-done", "3", "--by", "Ann", "--reason", "by hand").code == 0
    project.write("go", "")
    done = finish(process)
    assert done.code == 0, done
    assert (boxes(project), order(project)) == ("xxxx", ["4"])


def test_a_waiting_step_that_a_person_marks_done_is_waited_for_no_more(project):
    project.plan(s1=job(), s2=ran("2", [1]), s3=ran("3"))
    process = project.start("--continue")
    until(lambda: "waiting for" in str(project.events("WarningRaised")), "nothing was waited for")
    assert project.run("mark-done", "2", "--by", "Ann", "--reason", "by hand").code == 0
    done = finish(process)
    assert done.code == 0, done
    assert (boxes(project), order(project)) == ("~xx", ["3"])


def test_an_edit_of_the_spec_during_a_step_is_taken_as_it_stands(project):
    edit = "sed -i 's/Title 4/Another title/; 1i A first line' SPEC.md"
    project.plan(s1=job(), s2=command(f"{edit}; {ends(1)}"), s3=ran("eval", [1]), s4=ran("report"))
    done = project.run("--continue")
    assert done.code == 0, done
    assert "- [x] **STEP 4**: Another title ✓" in project.spec


LOOKS = """\
for verb in list "why 1-3" "--continue --dry-run" --monitor "list --ready"; do
  %s -m executor $verb >>seen.txt 2>&1; echo "exit $?" >>seen.txt
done
"""


def test_read_verbs_tell_no_lie_while_a_job_ends(project):
    project.write("looks.sh", LOOKS % sys.executable)
    during = f"sh looks.sh & {ends(1)}; sh looks.sh; wait"
    done = project.plan(s1=job(), s2=command(during), s3=ran("eval", [1])).run("--continue")
    assert done.code == 0, done
    assert set(re.findall(r"^exit \d+", project.text("seen.txt"), re.MULTILINE)) == {"exit 0"}
    assert "--rerun" not in project.text("seen.txt")


@pytest.mark.deep
def test_a_training_may_end_during_a_chunk(project):
    project.write("rows.sh", f'echo "{{}}" >>"$DO_TASKS_ROWS"; {ends(1)}')
    chunks = {"mode": "chunked", "chunks": [{"size": 1}, {"size": 1}], "rows": "part_{chunk}.jsonl"}
    done = project.plan(s1=job(), s2=command("sh rows.sh", **chunks), s3=ran("eval", [1])).run("--continue")
    assert done.code == 0, done
    assert (boxes(project), order(project), mains(project, 1), mains(project, 2)) == ("xxx", ["eval"], 1, 2)


@pytest.mark.deep
def test_a_training_may_end_while_a_brief_is_out(project):
    host = {
        "main": {"runner": "host", "objective": "Do it", "success_criteria": [{"criterion": "Yes", "command": "true"}]}
    }
    project.plan(s1=job(), s2=host, s3=ran("eval", [1]))
    assert project.run("--continue").code == 3
    project.write("end1", "exit 0")
    until(lambda: project.events("SpecTicked", step=1), "step 1 was never ticked")
    assert project.run("resume", project.event("BriefGiven")["task_id"]).code == 0
    assert project.run("--continue").code == 0
    assert (boxes(project), order(project), mains(project, 1)) == ("xxx", ["eval"], 1)


@pytest.mark.deep
def test_a_job_that_an_alert_restarts_is_waited_for_still(project):
    save = '[ "$DO_TASKS_RESUME" ] || { mkdir ck; echo 1 >ck/step_1; }'
    project.write("job.sh", JOB.replace("until [", f"{save}\nuntil ["))
    looks = [
        {"task": "trouble", "log": "said", "alert_on": "trouble", "interval": 0.2, "on_alert": RESTART},
        {"task": "ck", "checkpoints": "ck/step_*", "interval": 0.2},
    ]
    again = "echo trouble >>said; until grep -q main.2 runs.txt; do sleep 0.02; done; rm said"
    project.plan(s1=job() | {"background": looks}, s2=command(again), s3=ran("eval", [1]))
    process = project.start("--continue")
    until(lambda: mains(project, 1) == 2, "the job was never restarted")
    project.write("end1", "exit 0")
    done = finish(process)
    assert done.code == 0, done
    assert (boxes(project), order(project)) == ("xxx", ["eval"])


# What is said of it


def test_list_names_the_task_that_lives_not_the_one_before(project):
    project.plan(s1=command(f"[ -e again ] || exit 1; {waits_for('go')}"))
    assert project.run("--step", "1").code == 1
    before = project.event("StepFailed")["task_id"]
    project.write("again", "")
    process = project.start("--step", "1")
    until(lambda: mains(project, 1) == 2, "step 1 was not tried again")
    now = project.events("TaskStarted")[-1]["task_id"]
    [row] = project.run("list", "--json").json["steps"]
    assert (row["task_id"], row["state"]) == (now, "running")
    assert now != before
    assert before not in project.run("list").out
    assert before not in project.run("why", "1").out
    project.write("go", "")
    assert finish(process).code == 0


def test_list_names_the_job_that_starts_up_not_the_one_before(project):
    project.write("end1", "exit 1")
    project.plan(s1=job(main={"success_criteria": [{"criterion": "There", "file": "there"}]}))
    project.run("--step", "1")
    until(lambda: project.events("StepFailed"), "the first attempt did not fail")
    (project.root / "end1").unlink()
    process = project.start("--step", "1")
    until(lambda: mains(project, 1) == 2, "step 1 was not tried again")
    now = project.events("TaskStarted")[-1]["task_id"]
    [row] = project.run("list", "--json").json["steps"]
    [monitored] = project.run("--monitor", "--json").json["jobs"]
    assert (row["task_id"], row["state"], monitored["task_id"]) == (now, "running", now)
    process.send_signal(signal.SIGINT)
    finish(process)


def test_a_ticked_step_that_runs_again_is_listed_as_running(project):
    project.plan(s1=command(f"[ -e again ] || exit 0; {waits_for('go')}"))
    assert project.run("--step", "1").code == 0
    project.write("again", "")
    process = project.start("--step", "1", "--rerun")
    until(lambda: mains(project, 1) == 2, "step 1 was not run again")
    [row] = project.run("list", "--json").json["steps"]
    assert (row["task_id"], row["state"]) == (project.events("TaskStarted")[-1]["task_id"], "running")
    project.write("go", "")
    assert finish(process).code == 0


def test_what_a_person_marked_done_bears_no_task_that_failed(project):
    project.plan(s1=command("exit 1"))
    assert project.run("--step", "1").code == 1
    assert project.run("mark-done", "1", "--by", "Ann", "--reason", "seen").code == 0
    [row] = project.run("list", "--json").json["steps"]
    assert (row["state"], row["task_id"]) == ("by hand", "")


def test_the_last_table_has_the_state_at_the_end(project):
    done = flagship(project).run("--all")
    table = re.findall(r"^(\S+) step (\d+)\s+(\w+)", done.out, re.MULTILINE)
    assert table == [("✅", str(number), "passed") for number in range(1, 5)]


def test_the_json_has_the_state_at_the_end(project):
    rows = flagship(project).run("--continue", "--json").json["steps"]
    assert [(row["step"], row["verdict"]) for row in rows] == [(number, "passed") for number in range(1, 5)]


def test_a_running_job_is_offered_no_rerun(project):
    project.plan(s1=job())
    assert project.run("--step", "1").code == 0
    done = project.run("--step", "1")
    assert done.code == 0, done
    assert "--rerun" not in done.out
