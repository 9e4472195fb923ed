"""Monitors that see nothing: refused at the start where they never can, told where they never did."""

from __future__ import annotations

import json
import os

import pytest

from tests.integration.projects import until
from tests.integration.test_jobs import project as job_project
from tests.integration.test_jobs import until_ticked

project = job_project  # the fixture, which ends what a test leaves

TRAIN = """\
mkdir -p checkpoints
for i in $(seq 1 20); do echo "{\\"step\\": $i, \\"loss\\": 0.5, \\"lr\\": 0.1}" >>m.jsonl; sleep 0.05; done
echo weights >checkpoints/step_20
"""
SLOW = "(a+)+$"
TYPOS = [
    {"task": "m", "metrics": "mm.jsonl", "interval": 1, "rules": ["nan", "divergence"], "on_alert": "stop"},
    {"task": "named", "metrics": "m.jsonl", "interval": 1, "rules": [{"nan": "lose"}]},
    {"task": "room", "disk": "nowhere", "interval": 1, "rules": ["disk_hours_left"], "on_alert": "block"},
    {"task": "ck", "checkpoints": "chekpoints/*", "interval": 1},
]


def plan(project, *monitors, script=TRAIN, settings=None, **main):
    project.write("train.sh", script)
    body = {"script": "train.sh", "test": "none", "mode": "background", **main}
    return project.plan(settings=settings, s13={"main": body, "background": list(monitors)})


def told(project, when="end"):
    return {line["key"]: line["reason"] for line in project.events("MonitorBlind", when=when)}


def test_four_typos_of_one_job_are_all_told(project):
    settings = {"notify": [{"command": 'echo "$DO_TASKS_NOTICE $DO_TASKS_MESSAGE" >>told.txt'}]}
    plan(project, *TYPOS, settings=settings).run("--step", "13")
    until_ticked(project)
    assert {key: reason.partition(";")[2] for key, reason in told(project).items()} == {
        "m": " did you mean m.jsonl in .",
        "named/nan": " there are step, loss, lr; did you mean loss",
        "room": told(project)["room"].partition(";")[2],
        "ck": " did you mean checkpoints/ in .",
    }
    assert told(project)["room"].startswith("nowhere: No such file or directory")
    assert "saw nothing: m, named/nan, room, ck" in project.spec
    until(lambda: project.has("told.txt") and "finished" in project.text("told.txt"), "nobody was told of the end")
    assert "saw nothing: m, named/nan, room, ck" in project.text("told.txt")
    seen = project.run("--monitor").out
    assert "named/nan: no column lose" in seen
    [job] = project.run("--monitor", "--json").json["jobs"]
    blind = {one["name"]: one["blind"] for one in job["monitors"]}
    assert all(blind[name] for name in ("m", "named", "room", "ck"))
    assert not blind["progress"]


def test_what_was_seen_late_is_not_told(project):
    late = [{**one, "interval": 60} for one in ({"metrics": "m.jsonl"}, {"log": "m.jsonl"}, {"disk": "checkpoints"})]
    late.append({"checkpoints": "checkpoints/*", "interval": 60})
    plan(project, *late).run("--step", "13")
    until_ticked(project)
    assert told(project) == {}
    assert "saw nothing" not in project.spec


def test_a_typo_that_main_spells_right_is_a_warning(project):
    said = plan(project, *TYPOS).run("validate")
    assert said.code == 0, said
    for name, near in (("mm.jsonl", "m.jsonl"), ("lose", "loss"), ("chekpoints", "checkpoints")):
        assert f"MAIN names no {name}; did you mean {near}" in said.out


NEVER = {
    "a table that is no text": ({"metrics": "out/m.parquet"}, "cannot be read"),
    "a packed log": ({"log": "train.log.gz"}, "is no text"),
    "a folder as a log": ({"log": "logs"}, "is a folder: write logs/*"),
    "a file in the way": ({"metrics": "train.sh/m.jsonl"}, "is a file, no folder"),
    "a folder without a mount": ({"checkpoints": "/no-such-place-at-all/ck/step_*"}, "cannot come to be"),
    "an address": ({"metrics": "s3://bucket/m.jsonl"}, "is an address"),
    "a variable": ({"log": "$OUT/train.log"}, "no variable but"),
    "a placeholder": ({"checkpoints": "checkpoints/step_{step}.pt"}, "write * for what varies"),
    "a range that is empty": ({"checkpoints": "checkpoints/step_[9-0]"}, "its range is empty"),
    "a backslash": ({"metrics": "logs\\m.jsonl"}, "folders are parted by /"),
    "a pipe": ({"log": "fifo"}, "is no plain file"),
    "a disk in no folder": ({"disk": "no/where"}, "nothing in the step names no"),
    "a glob as a disk": ({"disk": "checkpoints*"}, "disk looks at one path"),
    "packed under another name": ({"log": "packed.log"}, "is no text"),
    "a folder of text": ({"metrics": "texts"}, "write texts/m.jsonl"),
    "a program that is not there": ({"command": "no-such-program --query | head"}, "no program no-such-program"),
}


def test_a_monitor_that_can_never_see_is_refused_before_anything_runs(project):
    monitors = [{"task": name, **body} for name, (body, _) in NEVER.items()]
    plan(project, *monitors, script="touch ran.txt\n")
    (project.root / "logs").mkdir()
    project.write("texts/m.jsonl", "{}\n")
    project.write("packed.log", b"\x1f\x8b\x08 and so on")
    os.mkfifo(project.root / "fifo")
    warned = project.run("validate")
    assert warned.code == 0, warned
    done = project.run("--step", "13")
    assert done.code == 1, done
    assert not project.has("ran.txt")
    for name, (_, reason) in NEVER.items():
        got = project.check(f"monitor {name}")["got"]
        assert reason in got, name
        assert f"can see nothing, so the job is not started: {got}" in warned.out


SEES = [
    {"metrics": "outputs/run-1/logs/m.jsonl"},
    {"log": "deep/er/train.log"},
    {"checkpoints": "outputs/*/checkpoint-*/"},
    {"disk": "outputs/run-1"},
    {"disk": "checkpoints"},
    {"metrics": "runs"},
    {"metrics": "out/m.parquet.jsonl"},
    {"gpu": True},
    {"log": "stderr"},
    {"command": "FOO=1 cat m.jsonl | tail -n 1"},
    {"command": "if [ -e m.jsonl ]; then cat m.jsonl; fi"},
    {"check": "my() { true; }; my"},
    {"alert": "./later.sh"},
    {"metrics": "odd{1}.jsonl"},
]


def test_what_the_job_may_still_make_is_not_refused(project):
    project.write("odd{1}.jsonl", "")
    script = "mkdir -p outputs/run-1\n"
    plan(project, *({"task": str(place), **one} for place, one in enumerate(SEES)), script=script)
    assert "can see nothing" not in project.run("validate").out
    done = project.run("--step", "13")
    assert done.code == 0, done
    assert not project.events("CheckFinished", status="failed")


@pytest.mark.parametrize("name", ["~/logs/m.jsonl", "~/logs/*.jsonl"])
def test_the_home_folder_is_meant_by_a_tilde(project, name):
    project.environ["HOME"] = str(project.root / "home")
    (project.root / "home" / "logs").mkdir(parents=True)
    script = 'for i in 1 2 3; do echo "{\\"step\\": $i, \\"loss\\": NaN}" >>~/logs/m.jsonl; sleep 0.3; done\n'
    loss = {"task": "loss", "metrics": name, "interval": 0.2, "rules": ["nan"], "at_end": "note"}
    plan(project, loss, {"task": "words", "log": name, "interval": 0.2}, script=script).run("--step", "13")
    until_ticked(project)
    assert project.event("AlertRaised")["key"] == "loss/nan"
    assert told(project) == {}


def test_a_monitor_blind_for_its_grace_is_told_once_while_the_job_runs(project):
    plan(
        project,
        {"task": "ck", "checkpoints": "ck/*", "interval": 0.1},
        script="while [ -e hold ]; do sleep 0.1; done\n",
    )
    project.write("hold", "")
    project.run("--step", "13")
    [folder] = project.root.glob(".do-tasks/jobs/task_13_*")
    until((folder / "memory.json").exists, "it never saved what it knows")
    assert told(project, "grace") == {}
    (project.root / "hold").unlink()
    until_ticked(project)
    assert json.dumps(told(project)) == '{"ck": "ck/*: none of this run yet"}'


def test_a_pattern_that_takes_for_ever_holds_nobody(project):
    script = """\
for i in $(seq 1 600); do
  [ -e go ] && break
  printf 'a%.0s' $(seq 1 80) >>words.txt; echo '!' >>words.txt
  echo "{\\"step\\": $i, \\"loss\\": NaN}" >>m.jsonl
  sleep 0.2
done
"""
    words = {"interval": 0.2, "alert_on": SLOW}
    monitors = [
        {"task": "words", "log": "words.txt", **words},
        {"task": "said", "command": "cat words.txt", **words},
        {"task": "loss", "metrics": "m.jsonl", "interval": 0.2, "rules": ["nan"], "at_end": "note"},
    ]
    plan(project, *monitors, script=script)
    assert project.run("validate").out.count("can take for ever on a long line ((a+)+ repeats") == 2
    project.run("--step", "13")
    left_out = ["words/alert_on", "said/alert_on"]
    until(lambda: [*told(project, "grace")] == left_out, "nobody was told that the patterns are left out")
    project.write("go", "")
    until_ticked(project)
    assert project.event("AlertRaised")["key"] == "loss/nan"
    assert all("it is left out" in reason for reason in told(project).values())
    assert [*told(project)] == left_out


def test_a_criterion_whose_pattern_takes_for_ever_says_so(project):
    slow = {"criterion": "There", "matches": {"file": "out.txt", "pattern": SLOW}}
    main = {"command": f"echo {'a' * 60}! >out.txt", "test": "none", "success_criteria": [slow]}
    project.plan(s1={"main": main})
    assert "matches can take for ever on a long line ((a+)+ repeats" in project.run("validate").out
    assert project.run("--step", "1").code == 1
    got = project.event("CriterionJudged")["got"]
    assert "the pattern takes too long" in got or "30 s limit" in got  # the second where the machine has much to do
