"""MAIN in chunks: rows counted by us, none lost or doubled, whoever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

import psutil
import pytest

from tests.integration.projects import Project, finish, until

SIZES = (3, 4, 5)
TOTAL = sum(SIZES)
WRITER = """
import json, os, sys, time
told = {name: os.environ["DO_TASKS_" + name] for name in ("CHUNK", "OFFSET", "SIZE", "TOTAL")}
print("told", json.dumps(told), flush=True)
first, size = int(told["OFFSET"]), int(told["SIZE"])
with open(os.environ["DO_TASKS_ROWS"], "a") as rows:
    for number in range(first, first + size):
        line = json.dumps({"row": number}) + "\\n"
        rows.write(line[:5])
        rows.flush()
        time.sleep(float(os.environ.get("PACE", "0")))
        rows.write(line[5:])
        rows.flush()
with open(os.environ["DO_TASKS_RESULT"], "w") as result:
    json.dump({"metrics": {"usd": 0.5 * size}}, result)
"""


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "p")
    project.write("write.py", WRITER)
    return project


def step(*, sizes=SIZES, **more):
    main = {
        "command": f"{sys.executable} write.py",
        "test": "none",
        "mode": "chunked",
        "chunks": [{"size": size} for size in sizes],
        "rows": "data/part_{chunk}.jsonl",
    }
    return {"main": {**main, **more}}


def rows(project, sizes=SIZES):
    """Every row of every chunk, in order."""
    texts = [project.text(f"data/part_{number}.jsonl") for number in range(1, len(sizes) + 1)]
    return [json.loads(line)["row"] for text in texts for line in text.splitlines()]


def accepted(project):
    return [event["chunk"] for event in project.events("MainFinished") if event["status"] == "passed"]


def test_chunks_are_done_in_order_and_told_where_they_begin(project):
    done = project.plan(s1=step()).run("--step", "1")
    assert done.code == 0, done
    assert rows(project) == list(range(TOTAL))
    assert accepted(project) == [1, 2, 3]
    assert [event["rows"] for event in project.events("MainFinished")] == list(SIZES)
    assert "chunk 2 of 3: 4 rows" in done.out
    assert "7 of 12 rows; $3.50 so far, about $2.50 to come" in done.out


def test_done_is_done(project):
    project.plan(s1=step()).run("--step", "1")
    assert project.run("--continue").code == 0
    assert accepted(project) == [1, 2, 3]


@pytest.mark.parametrize(("made", "told"), [("2", "holds 2 whole rows, 3 were wanted"), ("4", "holds 4 whole rows")])
def test_a_wrong_number_of_rows_fails_with_both_numbers(project, made, told):
    project.write("write.py", WRITER.replace('int(told["SIZE"])', made))
    done = project.plan(s1=step()).run("--step", "1")
    assert done.code == 1
    assert told in done.out
    assert "- [x]" not in project.spec
    assert accepted(project) == []


def test_a_half_row_is_no_row(project):
    project.write("write.py", f"{WRITER}open(os.environ['DO_TASKS_ROWS'], 'a').write('half')\n")
    done = project.plan(s1=step()).run("--step", "1")
    assert done.code == 1
    assert "3 whole rows and a half one, 3 were wanted" in done.out


def test_a_failing_quality_check_stops_and_keeps_what_was_accepted(project):
    check = {"task": "few", "command": "test $(cat data/part_*.jsonl | wc -l) -le $(cat most)"}
    project.write("most", "7")
    done = project.plan(s1=step(quality_check=[check])).run("--step", "1")
    assert done.code == 1
    assert "few: expected exit 0, got exit 1" in done.out
    assert accepted(project) == [1, 2]
    assert rows(project) == list(range(TOTAL))
    project.write("most", "12")
    again = project.run("--continue")
    assert again.code == 0
    assert "12 of 12 rows; $6.00 so far" in again.out  # its rows were paid by the run before
    assert accepted(project) == [1, 2, 3]
    assert rows(project) == list(range(TOTAL))


def test_with_nothing_left_to_make_a_run_is_there_to_be_judged(project):
    bound = [{"criterion": "Its cost is known", "metric": {"name": "usd", "min": 0}}]
    plan = {**step(sizes=(3, 4), success_criteria=bound), "post_validation": JUDGED}
    project.plan(s1={**step(), "post_validation": JUDGED}).run("--step", "1")
    project.write("good", "")
    assert project.plan(s1=plan).run("--continue").code == 0
    assert rows(project, (3, 4)) == list(range(7))


def test_a_chunk_more_goes_on_where_it_was(project):
    project.plan(s1=step()).run("--step", "1")
    assert project.plan(s1=step(sizes=(*SIZES, 2))).run("--step", "1", "--rerun").code == 0
    assert rows(project, (*SIZES, 2)) == list(range(TOTAL + 2))


JUDGED = [{"task": "judged", "command": "test -e good"}]


@pytest.mark.first_rows(2)
@pytest.mark.parametrize("sizes", [(3, 6, 5), (3, 2, 5), (5, 4, 5), (3, 4)])
def test_another_size_doubles_no_row_and_loses_none(project, sizes):
    assert project.plan(s1={**step(), "post_validation": JUDGED}).run("--step", "1").code == 1
    project.write("good", "")
    again = project.plan(s1={**step(sizes=sizes), "post_validation": JUDGED}).run("--continue")
    assert again.code == 0, again
    assert rows(project, sizes) == list(range(sum(sizes)))


def test_a_longer_chunk_keeps_the_rows_that_it_has(project):
    project.plan(s1={**step(), "post_validation": JUDGED}).run("--step", "1")
    project.write("good", "")
    project.plan(s1={**step(sizes=(3, 6, 5)), "post_validation": JUDGED}).run("--continue")
    assert not (project.root / "data/part_2.jsonl.1").exists()
    assert len(project.text("data/part_3.jsonl.1").splitlines()) == 5  # its rows were others


def test_who_would_do_it_in_another_mode_does_not_make_rows_anew(project):
    project.plan(s1={**step(), "post_validation": JUDGED}).run("--step", "1", "--runner", "command")
    project.write("good", "")
    project.environ["DO_TASKS_RUNNER"] = "host"
    assert project.run("--continue").code == 0
    assert accepted(project) == [1, 2, 3]


def test_files_of_later_chunks_are_out_of_the_way_when_an_earlier_one_is_judged(project):
    check = {"task": "few", "command": "test $(cat data/part_*.jsonl | wc -l) -eq $(cat most)"}
    project.write("most", "3")
    project.write("data/part_3.jsonl", '{"row": 99}\n')
    assert project.plan(s1=step(sizes=(3, 1, 5), quality_check=[check])).run("--step", "1").code == 1
    assert accepted(project) == [1]


@pytest.mark.parametrize("there", ["folder", "pipe"])
def test_rows_that_are_no_file_are_refused_in_words(project, there):
    place = project.root / "data/part_1.jsonl"
    place.parent.mkdir()
    place.mkdir() if there == "folder" else os.mkfifo(place)
    done = project.plan(s1=step()).run("--step", "1")
    assert done.code == 6, done
    assert "it is no file; move it away" in done.out + done.err


def test_a_cost_that_is_no_sum_counts_nothing(project):
    project.write("write.py", WRITER.replace("0.5 * size", "10 ** 310"))
    assert project.plan(s1=step()).run("--step", "1").code == 0
    assert [event["usd"] for event in project.events("MainFinished")] == [0, 0, 0]


def test_rows_that_are_not_ours_are_put_aside(project):
    project.write("data/part_1.jsonl", '{"row": 99}\n')
    done = project.plan(s1=step()).run("--step", "1")
    assert done.code == 0
    assert project.text("data/part_1.jsonl.1") == '{"row": 99}\n'
    assert "data/part_1.jsonl was not of this chunk; it is now data/part_1.jsonl.1" in done.out + done.err
    assert rows(project) == list(range(TOTAL))


def test_a_later_chunk_that_writes_into_an_earlier_one_is_found_out(project):
    project.write("write.py", f"{WRITER}if told['CHUNK'] == '3': open('data/part_1.jsonl', 'a').write('{{}}\\n')\n")
    done = project.plan(s1=step()).run("--step", "1")
    assert done.code == 1
    assert "data/part_1.jsonl is not what chunk 1 left there" in done.out


def test_what_makes_rows_has_changed_so_they_are_made_anew(project):
    project.write("most", "0")
    check = {"task": "few", "command": "test $(cat data/part_*.jsonl | wc -l) -le $(cat most)"}
    project.plan(s1=step(quality_check=[check])).run("--step", "1")
    project.write("most", "12")
    assert project.plan(s1=step(quality_check=[check], args=["other"])).run("--continue").code == 0
    assert len(project.text("data/part_1.jsonl.1").splitlines()) == SIZES[0]
    assert rows(project) == list(range(TOTAL))


def test_a_chunk_is_tried_again_from_the_row_where_it_stopped(project):
    project.write(
        "write.py",
        WRITER.replace(
            "        rows.write(line[5:])",
            "        if number == 1 and told['OFFSET'] == '0': sys.exit(75)\n        rows.write(line[5:])",
        ),
    )
    done = project.plan(s1=step(retry={"attempts": 2, "on": ["rate_limit"]})).run("--step", "1")
    assert done.code == 0, done
    assert rows(project) == list(range(TOTAL))
    assert project.events("MainStarted")[1]["chunk"] == 1


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"rows": "data/part.jsonl"}, "needs rows: the JSON Lines file of a chunk"),
        ({"rows": None}, "needs rows: the JSON Lines file of a chunk"),
        ({"chunks": None}, "needs chunks"),
        ({"mode": "normal", "chunks": None}, "needs mode: chunked"),
    ],
)
def test_a_plan_that_cannot_be_done_in_chunks_says_why(project, more, told):
    main = {name: value for name, value in {**step()["main"], **more}.items() if value is not None}
    done = project.plan(s1={"main": main}).run("validate")
    assert done.code == 2
    assert told in done.out + done.err


def test_rows_that_vanished_after_they_were_accepted_are_not_taken_for_there(project):
    after = [{"task": "judged", "command": "test -e good"}]
    assert project.plan(s1={**step(), "post_validation": after}).run("--step", "1").code == 1
    (project.root / "data/part_2.jsonl").unlink()
    project.write("good", "")
    again = project.run("--continue")
    assert again.code == 1
    assert "data/part_2.jsonl is not what chunk 2 left there" in again.out
    assert project.run("--step", "1", "--rerun").code == 0
    assert rows(project) == list(range(TOTAL))


def test_interrupted_it_goes_on_at_the_next_row(project):
    project.plan(s1=step()).environ["PACE"] = "0.2"
    executor = project.start("--step", "1")
    project.until_there("data/part_1.jsonl")
    executor.send_signal(signal.SIGINT)
    assert finish(executor).code == 130
    assert project.run("--continue").code == 0
    assert rows(project) == list(range(TOTAL))
    assert len(project.events("TaskStarted")) == 1


def test_stopped_the_step_fails_and_goes_on_later(project):
    project.plan(s1=step()).environ["PACE"] = "0.2"
    executor = project.start("--step", "1")
    project.until_there("data/part_1.jsonl")
    assert project.run("stop", project.task_id()).code == 0
    assert finish(executor).code != 0
    assert "- [x]" not in project.spec
    assert project.run("--continue").code == 0
    assert rows(project) == list(range(TOTAL))


def those_of(project):
    here = [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(project.root)]
    return [one for one in here if one.pid != os.getpid()]


def killed_round(project, seed):
    chance = random.Random(seed)
    project.plan(s1=step()).environ["PACE"] = "0.1"
    executor = project.start("--step", "1")
    for _ in range(chance.randint(1, 4)):
        time.sleep(chance.uniform(0.1, 1.0))
        everybody = chance.random() < 0.5
        victims = those_of(project) if everybody else [psutil.Process(executor.pid)]
        for one in victims:
            try:
                one.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        finish(executor)
        executor = project.start("--continue")
    finish(executor)
    until(lambda: project.run("--continue").code == 0, "it does not come to its end")
    assert rows(project) == list(range(TOTAL))
    assert len(project.events("SpecTicked")) == 1
    assert sorted(accepted(project)) == [1, 2, 3]
    until(lambda: not those_of(project), "somebody was left running")


@pytest.mark.first_rows(1)
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_no_row_is_lost_or_doubled(project, seed):
    killed_round(project, seed)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(3, 18))
def test_killed_at_random_many_times_no_row_is_lost_or_doubled(project, seed):
    killed_round(project, seed)
