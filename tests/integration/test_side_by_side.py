"""Independent steps at the same time: in order where there is one, once whatever dies, each with its own output.

Steps that wait for each other's file pass only side by side: no test asks how long anything took.
"""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from executor.testing import bash
from executor.testing import done as say_done
from tests.integration import plans
from tests.integration.agents import Play, project_in
from tests.integration.projects import Project, alive, command, finish, until

AWAIT = """\
for i in $(seq 1 3000); do
  all=1
  for name in "$@"; do [ -e "$name" ] || all=; done
  [ "$all" ] && exit 0
  sleep 0.02
done
exit 9
"""
ALONE = {"depends_on": []}
WRITTEN = {"criterion": "It is there", "file": "poem.txt"}


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "p")
    project.write("await.sh", AWAIT)
    yield project
    for name in ("go", "go1", "go2", "go3"):
        project.write(name, "")


def meets(number, *others):
    """A step that passes only while these other steps run."""
    return {**command(f"touch at{number}; sh await.sh {' '.join(f'at{one}' for one in others)}"), **ALONE}


def order(project, *kinds):
    return [(line["step"], line["event"]) for line in project.lines() if line["event"] in kinds]


def verdicts(project):
    return {line["step"]: line["status"] for line in project.lines() if line["event"] in ("StepPassed", "StepFailed")}


# At the same time, and in order


@pytest.mark.parametrize("words", [("--continue",), ("--all",), ("--step", "1-3")])
def test_steps_that_wait_for_each_other_pass_side_by_side(project, words):
    done = project.plan(s1=meets(1, 2, 3), s2=meets(2, 1, 3), s3=meets(3, 1, 2)).run(*words, "--jobs", "3")
    assert done.code == 0, done
    assert project.spec.count("- [x]") == 3


def test_no_more_steps_run_at_a_time_than_jobs_names(project):
    count = "mkdir in$DO_TASKS_STEP; ls -d in? | wc -l >>counts; rmdir in$DO_TASKS_STEP"
    steps = {f"s{number}": {**command(count), **ALONE} for number in range(1, 9)}
    assert project.plan(**steps).run("--continue", "--jobs", "2").code == 0
    assert {int(line) for line in project.text("counts").split()} <= {1, 2}


def test_a_step_begins_after_what_it_depends_on_and_one_without_depends_on_after_all_before(project):
    project.plan(
        s1={**command("sh await.sh at2"), **ALONE},
        s2={**command("touch at2"), **ALONE},
        s3={**command("true"), "depends_on": [1]},
        s4=command("true"),
    )
    assert project.run("--continue", "--jobs", "4").code == 0
    seen = order(project, "TaskStarted", "StepPassed")
    assert seen.index((3, "TaskStarted")) > seen.index((1, "StepPassed"))
    assert seen.index((4, "TaskStarted")) > max(seen.index((number, "StepPassed")) for number in (1, 2, 3))


def test_a_step_that_reads_a_metric_begins_after_the_step_that_records_it(project):
    text = """sh await.sh at3; echo '{"metrics": {"acc": 0.5}}' >$DO_TASKS_RESULT"""
    project.plan(
        s1={**command(text), **ALONE},
        s2={**command("test $1 = 0.5", args=["${steps.1.metrics.acc}"]), **ALONE},
        s3={**command("touch at3"), **ALONE},
        s4={**command("exit 3"), **ALONE, "if": {"step": 1, "metric": "acc", "above": 0.9}},
    )
    done = project.run("--continue", "--jobs", "4")
    assert (done.code, verdicts(project)) == (0, {1: "passed", 2: "passed", 3: "passed"}), done


def test_steps_that_run_again_keep_their_order(project):
    project.plan(s1={**command("true"), **ALONE}, s2={**command("true"), "depends_on": [1]}, s3=command("true"))
    assert project.run("--continue").code == 0
    length = len(project.lines())
    assert project.run("--step", "1-3", "--rerun", "--jobs", "3").code == 0
    seen = [(line["step"], line["event"]) for line in project.lines()[length:]]
    assert seen.index((2, "TaskStarted")) > seen.index((1, "StepPassed"))
    assert seen.index((3, "TaskStarted")) > seen.index((2, "StepPassed"))


def test_a_forced_step_still_follows_what_runs_beside_it(project):
    project.plan(s1={**command("true"), **ALONE}, s2={**command("true"), "depends_on": [1]})
    assert project.run("--step", "1,2", "--force", "--jobs", "2").code == 0
    seen = order(project, "TaskStarted", "StepPassed")
    assert seen.index((2, "TaskStarted")) > seen.index((1, "StepPassed"))


def test_jobs_must_be_a_number_from_1(project):
    project.plan(s1=command("true"))
    for text in ("0", "-1", "x", "65", "1.5"):
        done = project.run("--continue", "--jobs", text)
        assert (done.code, "must be a number of steps from 1 to 64" in done.err or "expected one" in done.err) == (
            2,
            True,
        )
    assert project.lines() == []


# Output


def test_each_line_of_the_transcript_names_its_step_and_one_summary_ends_it(project):
    project.plan(s1=meets(1, 2), s2=meets(2, 1))
    done = project.run("--continue", "--jobs", "2")
    told = done.out.splitlines()
    assert {line[:3] for line in told[:-2]} == {"1 |", "2 |"}
    assert [line.split()[1:4] for line in told[-2:]] == [["step", "1", "passed"], ["step", "2", "passed"]]


def test_json_has_the_steps_in_the_order_of_the_plan(project):
    project.plan(s1={**command("sh await.sh at2"), **ALONE}, s2={**command("touch at2; exit 3"), **ALONE})
    done = project.run("--continue", "--jobs", "2", "--json")
    assert [(row["step"], row["verdict"]) for row in done.json["steps"]] == [(1, "passed"), (2, "failed")]
    assert done.code == 1


# Failures and requests to stop


def test_after_a_failure_what_runs_ends_and_nothing_begins(project):
    project.plan(
        s1={**command("touch at1; until grep SpecMarked .task_execution.log; do sleep 0.1; done; sleep 0.5"), **ALONE},
        s2={**command("sh await.sh at1; exit 3"), **ALONE},
        s3={**command("true"), **ALONE},
    )
    done = project.run("--continue", "--jobs", "2")
    assert done.code == 1
    assert verdicts(project) == {1: "passed", 2: "failed"}


def test_with_keep_going_a_failure_holds_up_only_what_depends_on_it(project):
    project.plan(
        s1={**command("exit 3"), **ALONE},
        s2={**command("true"), "depends_on": [1]},
        s3={**command("true"), **ALONE},
        s4={**command("true"), "depends_on": [3]},
    )
    assert project.run("--all", "--keep-going", "--jobs", "2").code == 1
    assert verdicts(project) == {1: "failed", 3: "passed", 4: "passed"}


def test_a_broken_spec_line_of_one_step_ends_the_run_after_the_others(project):
    spec = "- [ ] **STEP 1**: One\n- [ ] **STEP 2**: Two\n- [ ] **STEP 2**: Two again\n"
    project.plan(spec=spec, s1={**command("true"), **ALONE}, s2={**command("true"), **ALONE})
    done = project.run("--step", "1,2", "--jobs", "2")
    assert (done.code, "step 2 twice" in done.err) == (2, True), done
    assert verdicts(project) == {1: "passed"}


def test_a_first_interrupt_ends_all_gracefully_and_both_go_on_later(project):
    text = "trap 'touch saved$DO_TASKS_STEP; exit 1' INT; touch at$DO_TASKS_STEP; [ -e go ] || sleep 600 & wait"
    project.plan(s1={**command(text), **ALONE}, s2={**command(text), **ALONE})
    process = project.start("--continue", "--jobs", "2")
    until(lambda: project.has("at1") and project.has("at2"), "the two never ran")
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, project.has("saved1"), project.has("saved2")) == (130, True, True)
    assert "Interrupted in step 1-2. To continue: do-tasks --continue --jobs 2" in done.out
    project.write("go", "")
    assert project.run("--continue", "--jobs", "2").code == 0
    assert len({line["task_id"] for line in project.events("TaskStarted")}) == 2


def test_a_second_interrupt_kills_what_ignores_the_first(project):
    text = "trap '' INT TERM; echo $$ >at$DO_TASKS_STEP; while :; do sleep 0.1; done"
    project.plan(s1={**command(text), **ALONE}, s2={**command(text), **ALONE})
    process = project.start("--continue", "--jobs", "2")
    project.until_there("at1")
    project.until_there("at2")
    pids = [int(project.text(name)) for name in ("at1", "at2")]
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    assert not any(map(alive, pids))


def test_stop_ends_one_of_two_and_the_other_passes(project):
    project.plan(
        s1={**command("touch at1; sleep 600"), **ALONE},
        s2={**command("touch at2; sh await.sh go"), **ALONE},
    )
    process = project.start("--continue", "--jobs", "2")
    until(lambda: project.has("at1") and project.has("at2"), "the two never ran")
    rows = {row["step"]: row for row in project.run("list", "--json").json["steps"]}
    assert [rows[number]["state"] for number in (1, 2)] == ["running", "running"]
    assert project.run("stop", rows[1]["task_id"]).code == 0
    until(lambda: project.events("StepFailed"), "the stop had no verdict")
    project.write("go", "")
    assert finish(process).code == 1
    assert verdicts(project) == {1: "cancelled", 2: "passed"}


# An agent


@pytest.mark.deep
def test_a_step_that_an_agent_does_runs_alone(tmp_path):
    pytest.importorskip("anthropic")
    project = project_in(tmp_path / "p")
    main = {"agent": "tinker-executor", "runner": "agent", "objective": "Write", "success_criteria": [WRITTEN]}
    project.plan(
        s1={**command("true"), **ALONE},
        s2={"main": main, **ALONE},
        s3={**command("true"), **ALONE},
        s4={**command("true"), **ALONE},
    )
    with Play(project, [bash("echo line >poem.txt"), say_done({WRITTEN["criterion"]: "1 line"})]) as scene:
        done = scene.run("--continue", "--jobs", "3")
    assert done.code == 0, done
    steps = [line["step"] for line in project.lines() if line["step"] is not None]
    first, last = steps.index(2), len(steps) - steps[::-1].index(2)
    assert set(steps[first:last]) == {2}


def test_a_step_that_waits_for_a_host_agent_ends_the_run_and_its_brief_keeps_jobs(project):
    host = {"main": {"agent": "writer", "runner": "host", "objective": "Write", "success_criteria": ["Written"]}}
    project.write(".claude/agents/writer.md", "---\nname: writer\ndescription: Writes.\n---\nWrite.\n")
    project.plan(s1={**command("true"), **ALONE}, s2={**host, **ALONE}, s3={**command("true"), **ALONE})
    done = project.run("--continue", "--jobs", "2")
    assert (done.code, verdicts(project)) == (3, {1: "passed"}), done
    assert project.event("BriefGiven")["asked"] == "--continue --jobs 2"


# Killed


class Independent(plans.Project):
    """Steps of which none waits for another."""

    def define(self, **more):
        super().define(**more)
        text = self.path("step_definitions.yaml").read_text()
        self.path("step_definitions.yaml").write_text(text.replace("  title:", "  depends_on: []\n  title:"))


def grows(project, process, lines):
    plans.wait_for(lambda: len(project.log()) >= lines or process.poll() is not None, "lines of the log")


def survive(project, words):
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().getrandbits(32))
    print(f"KILL_SEED={seed} repeats these instants")
    chance = random.Random(seed)
    for _ in range(chance.choice((1, 2, 3))):
        process = project.start(*words)
        grows(project, process, chance.randrange(40)) if chance.random() < 0.5 else time.sleep(chance.uniform(0, 1.5))
        plans.kill(process)
    ended = project.run(*words)
    project.close()
    assert ended.returncode == 0, ended.stdout
    plans.hold_promise(project)


@pytest.mark.first_rows(3)
@pytest.mark.parametrize("turn", range(3))
def test_steps_in_flight_keep_the_promise_through_random_kills(tmp_path, turn):
    survive(Independent(tmp_path, sleeps_s=(0.1, 0.3, 0.2, 0.1, 0.2)), ("--continue", "--jobs", "3"))


@pytest.mark.deep
@pytest.mark.parametrize("turn", range(20))
def test_steps_in_flight_keep_the_promise_through_twenty_random_kills(tmp_path, turn):
    survive(Independent(tmp_path, sleeps_s=(0.1, 0.3, 0.2, 0.1, 0.2)), ("--all", "--jobs", "4"))


def test_both_steps_that_were_in_flight_are_adopted(tmp_path):
    project = Independent(tmp_path, sleeps_s=(0.0, 0.0))
    project.hold("main")
    process = project.start("--continue", "--jobs", "2")
    plans.wait_for(lambda: project.mains(1) and project.mains(2), "both MAINs")
    plans.kill(process)
    again = project.start("--continue", "--jobs", "2")
    plans.wait_for(lambda: len(project.events("MainAdopted")) == 2, "two adopted MAINs")
    project.release("main")
    assert again.wait(plans.LIMIT_S) == 0
    plans.hold_promise(project)


# Resources


def takes(number, text, **main):
    return {**command(text, **main), **ALONE}


def test_steps_get_gpus_of_their_own_and_no_more_run_than_there_are(project):
    text = (
        'echo "$CUDA_VISIBLE_DEVICES" >>seen\n'
        "for one in ${CUDA_VISIBLE_DEVICES//,/ }; do mkdir gpu$one || exit 7; done\n"
        "sleep 0.05\n"
        "for one in ${CUDA_VISIBLE_DEVICES//,/ }; do rmdir gpu$one; done\n"
    )
    project.write("work.sh", f"#!/bin/bash\n{text}", mode=0o755)
    amounts = {1: 1, 2: 1, 3: 2, 4: 1, 5: 1}
    steps = {f"s{number}": takes(number, "./work.sh", resources={"gpus": gpus}) for number, gpus in amounts.items()}
    done = project.plan(settings={"capacity": {"gpus": 2}}, **steps).run("--continue", "--jobs", "4")
    assert done.code == 0, done
    assert {*project.text("seen").split()} <= {"0", "1", "0,1", "1,0"}
    assert project.event("MainStarted", step=3)["devices"] == ["0", "1"]


def test_gpus_are_those_that_the_run_itself_may_see(project):
    project.environ["CUDA_VISIBLE_DEVICES"] = "5,GPU-7"
    text = "echo $CUDA_VISIBLE_DEVICES >gpu$DO_TASKS_STEP; touch at$DO_TASKS_STEP; sh await.sh at1 at2"
    one, two = (takes(number, text, resources={"gpus": 1}) for number in (1, 2))
    three = takes(3, "true", resources={"gpus": 3})
    project.plan(settings={"capacity": {"gpus": 3}}, s1=one, s2=two, s3=three)
    done = project.run("--continue", "--jobs", "3")
    assert (done.code, verdicts(project)) == (1, {1: "passed", 2: "passed"}), done
    assert sorted(project.text(f"gpu{number}").strip() for number in (1, 2)) == ["5", "GPU-7"]
    assert "it needs 3 GPUs, and there are 2" in done.out


def test_a_step_that_asks_more_than_the_capacity_is_an_error_of_validate(project):
    steps = {"s1": takes(1, "true", resources={"gpus": 3}), "s2": takes(2, "true", resources={"gpu": 1})}
    done = project.plan(settings={"capacity": {"gpus": 2}}, **steps).run("validate")
    assert done.code == 2
    assert "step_1_one.main.resources.gpus: asks 3 of 2 in settings.capacity" in done.out + done.err
    assert "settings.capacity has no 'gpu'; did you mean gpus" in done.out + done.err


@pytest.mark.parametrize(
    "main", [{"exclusive": "db"}, {"success_criteria": [{"criterion": "It is there", "file": "out"}]}]
)
def test_steps_with_a_name_or_evidence_in_common_are_kept_apart(project, main):
    text = "mkdir inside || exit 7; echo $DO_TASKS_STEP >out; sleep 0.1; rmdir inside"
    steps = {f"s{number}": takes(number, text, **main) for number in (1, 2, 3)}
    steps["s4"] = takes(4, text, **{**main, "outputs": ["o*"]})
    assert project.plan(**steps).run("--continue", "--jobs", "3").code == 0


def test_a_background_job_holds_its_gpu_until_it_ends(project):
    job = takes(1, "echo $CUDA_VISIBLE_DEVICES >gpu1; sh await.sh go", mode="background", resources={"gpus": 1})
    project.plan(
        settings={"capacity": {"gpus": 1}},
        s1=job,
        s2=takes(2, "test -e go && echo $CUDA_VISIBLE_DEVICES >gpu2", resources={"gpus": 1}),
        s3=takes(3, "true"),
    )
    process = project.start("--continue")
    until(lambda: project.events("StepPassed", step=3), "step 3 needs no GPU")
    until(lambda: project.events("StepSkipped", step=2), "step 2 does not say that it waits")
    assert project.events("TaskStarted", step=2) == []
    project.write("go", "")
    assert finish(process).code == 0
    assert (project.text("gpu1"), project.text("gpu2")) == ("0\n", "0\n")
    assert "step 1, which holds gpus" in project.event("StepSkipped")["reason"]


def test_without_waiting_a_step_whose_gpu_a_job_holds_exits_3(project):
    job = takes(1, "sh await.sh go", mode="background", resources={"gpus": 1})
    project.plan(settings={"capacity": {"gpus": 1}}, s1=job, s2=takes(2, "true", resources={"gpus": 1}))
    assert project.run("--step", "1").code == 0
    assert project.run("--step", "2").code == 3
    project.write("go", "")
    until(lambda: project.events("SpecTicked", step=1), "the job never ended")
    assert project.run("--step", "2").code == 0


def test_what_an_executor_left_running_holds_its_gpu(project):
    text = "echo $CUDA_VISIBLE_DEVICES >>gpu$DO_TASKS_STEP; touch at$DO_TASKS_STEP; sh await.sh go"
    one, two = (takes(number, text, resources={"gpus": 1}) for number in (1, 2))
    project.plan(settings={"capacity": {"gpus": 2}}, s1=one, s2=two, s3=takes(3, "true", resources={"gpus": 2}))
    process = project.start("--continue", "--jobs", "2")
    until(lambda: project.has("at1") and project.has("at2"), "the two never ran")
    process.kill()
    finish(process)
    assert project.run("--step", "3", "--jobs", "2").code == 3
    project.write("go", "")
    assert project.run("--continue", "--jobs", "2").code == 0
    assert sorted(project.text("gpu1") + project.text("gpu2")) == sorted("0\n1\n")
