"""Evidence is what was not there when MAIN began, or has other content since: no time of a file proves anything."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from executor.system.birth_time import born_ns
from tests.integration.projects import Project, check, command, finish, until

OLD_S = 1_500_000_000
LATER_S = 10_000
WEIGHTS = 40_000  # bytes, more than are compared whole when there are many
LOSS = {"metric": {"file": "m.jsonl", "name": "loss", "max": 2.0}}
ROW = '{{"loss": {}}}\n'
BACK = "touch -d @1500000000"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "p")


def old(project, name, content="old", when_s=OLD_S):
    path = project.write(name, content)
    os.utime(path, (when_s, when_s))
    return path


def judged(project, text, bound, *words, **main):
    """The standing of one criterion after MAIN did this, and what the log says of it."""
    project.plan(s1=command(text, success_criteria=[{"criterion": "there", **bound}], **main))
    project.run("--step", "1", *words)
    return last(project)


def last(project):
    line = project.events("CriterionJudged")[-1]
    return line["standing"], line["evidence"]


FILE, MATCH = {"file": "ck/*"}, {"matches": {"file": "ck/*", "pattern": "old"}}
METRIC = {"metric": {"file": "ck/a", "name": "loss", "max": 2.0}}


@pytest.mark.parametrize(("bound", "content"), [(FILE, "old"), (MATCH, "old"), (METRIC, '{"loss": 1}')])
@pytest.mark.parametrize("is_ahead", [False, True])
def test_what_no_main_touched_proves_nothing_whatever_its_time(project, bound, content, is_ahead):
    old(project, "ck/a", content, time.time() + LATER_S if is_ahead else OLD_S)
    assert judged(project, "true", bound)[0] == "unproven"


TOUCHES = {
    "touch": "touch ck/a",
    "chmod": "chmod 600 ck/a",
    "restore": "mv ck x; cp -r x ck",
    "same again": "cat ck/a >b; cat b >ck/a",
    "renamed": "mv ck/a ck/b",
    "linked": "ln ck/a ck/b; rm ck/a",
    "a link to it": "ln -s a ck/b",
    "renamed folder": "mv ck x; mkdir ck; mv x/a ck/c",
}


@pytest.mark.parametrize("how", TOUCHES)
@pytest.mark.parametrize("size", [3, WEIGHTS, 6_000_000])
def test_what_has_new_times_but_no_new_content_proves_nothing(project, how, size):
    old(project, "ck/a", "o" * size)
    assert judged(project, TOUCHES[how], FILE)[0] == "unproven"


CHANGES = {
    "cp -p": "cp -p new ck/a",
    "set back": f"cat new >ck/a; {BACK} ck/a",
    "beside and renamed": f"cp new x; {BACK} x; mv x ck/a",
    "a new name": "cp -p new ck/b",
    "a link that is swapped": "rm ck/a; ln -s ../new ck/a",
    "the same content under a new name": "cp -p ck/a ck/b",
}


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("size", [3, WEIGHTS, 6_000_000])
def test_what_keeps_old_times_but_has_new_content_proves(project, how, size):
    old(project, "ck/a", "o" * size)
    old(project, "new", "n" * size)
    assert judged(project, CHANGES[how], FILE)[0] == "proven"


def test_what_is_written_in_the_instant_that_it_was_remembered_proves(project):
    text = "printf new >ck/a; touch -d @1500000000 ck/a"
    path = project.write("ck/a", "old")
    os.utime(path, ns=(time.time_ns(), time.time_ns()))
    assert judged(project, text, FILE)[0] == "proven"


def test_the_message_tells_the_next_move(project):
    old(project, "ck/a")
    judged(project, "true", FILE)
    line = project.event("CriterionJudged")
    assert line["got"] == "1 file, older than MAIN, unchanged"
    first, _, then = line["fix"].partition("; ")
    assert first == "write any_age: true where an old one will do"
    assert then == "else move it away and let MAIN make it anew (--rerun)"


# Rows and lines


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize(("row", "standing"), [("1", "proven"), ("9", "unproven")])
def test_of_a_file_that_grew_only_the_new_rows_count(project, kind, row, standing):
    rows = {"jsonl": (ROW.format(1.5), f'{{"loss": {row}}}'), "csv": ("step,loss\n1,1.5\n", f"2,{row}")}
    project.write(f"m.{kind}", rows[kind][0])
    bound = {"metric": {**LOSS["metric"], "file": f"m.{kind}"}}
    assert judged(project, f"echo '{rows[kind][1]}' >>m.{kind}", bound)[0] == standing


def test_a_row_of_before_is_not_taken_when_the_new_ones_have_no_such_number(project):
    project.write("m.jsonl", ROW.format(1.5))
    standing, evidence = judged(project, "echo '{\"acc\": 1}' >>m.jsonl", LOSS)
    assert (standing, "no loss in the new rows of m.jsonl" in evidence) == ("unproven", True)


def test_a_file_that_was_written_anew_counts_whole(project):
    project.write("m.jsonl", ROW.format(1.5))
    text = 'echo \'{"loss": 1.25, "step": 1}\' >m.jsonl; echo \'{"step": 2}\' >>m.jsonl'
    assert judged(project, text, LOSS)[0] == "proven"


@pytest.mark.parametrize(
    ("now", "standing"),
    [
        (["good", "bad"], "unproven"),  # an old row moved to the end
        (["new bad", "good", "bad"], "unproven"),  # a row before them
        (["bad", "good", "new bad"], "unproven"),
        (["bad", "new good", "good"], "proven"),
        (["good", "bad", "good"], "proven"),  # it stands there once more
    ],
)
def test_in_a_file_that_was_written_anew_old_rows_prove_nothing(project, now, standing):
    rows = {"good": '{"loss": 1.5}', "bad": '{"loss": 9}', "new bad": '{"loss": 8}', "new good": '{"loss": 1.25}'}
    project.write("m.jsonl", "\n".join(rows[one] for one in ("good", "bad")) + "\n")
    project.write("next", "".join(f"{rows[one]}\n" for one in reversed(now)))
    assert judged(project, "cat next >m.jsonl", LOSS)[0] == standing


@pytest.mark.parametrize(("text", "standing"), [("begun\n", "unproven"), ("begun\nfinished\n", "proven")])
def test_in_a_log_that_was_written_anew_old_lines_match_nothing(project, text, standing):
    project.write("t.log", "finished\nended\n")
    project.write("next", f"{text}ended\nfinished\n")
    bound = {"matches": {"file": "t.log", "pattern": "finished"}}
    assert judged(project, "cat next >t.log", bound)[0] == standing


ODD_LINES = {
    "colours of a terminal in tmux": b"\x1b[32mfinished\x1b[m\x0f\n" * 5,
    "end of a DOS file": b"finished\r\n\x1a",
    "columns of Hive": b"run\x01one\x01finished\n" * 5,
    "bells": b"finished\x07\x07\x07\n" * 3,
    "a header that is no text": b"\x1f\x8b\x08\x00\x01\x02\x03" * 6 + b"\nfinished\n",
    "more than is read at once": b"\x01" * 600 + b"\n" + b"x" * 20_000 + b"\nfinished\n",
}


@pytest.mark.parametrize("old_text", ODD_LINES.values(), ids=ODD_LINES)
def test_lines_with_control_characters_are_old_too(project, old_text):
    (project.root / "t.log").write_bytes(old_text)
    (project.root / "next").write_bytes(b"crashed\n" + old_text)
    bound = {"matches": {"file": "t.log", "pattern": "finished"}}
    assert judged(project, "cat next >t.log", bound)[0] == "unproven"


def test_rows_with_control_characters_are_old_too(project):
    project.write("m.log", "step 1 loss=1.5\x07\n" * 6)
    project.write("next", "crashed\n" + "step 1 loss=1.5\x07\n" * 6)
    bound = {"metric": {"file": "m.log", "name": "loss", "max": 2.0}}
    assert judged(project, "cat next >m.log", bound)[0] == "unproven"


def test_rows_that_nothing_asked_for_when_main_began_are_no_evidence(project):
    project.write("t.log", "finished\n")
    project.write("next", "crashed\nfinished\n")
    step = command("cat next >t.log; echo >>ran", success_criteria=[{"criterion": "there", "file": "t.log"}])
    project.plan(s1=step | {"post_validation": [check("fixed", "test -e fixed")]})
    assert project.run("--step", "1").code == 1
    project.write("fixed", "")
    asked = {"criterion": "there", "matches": {"file": "t.log", "pattern": "finished"}}
    project.plan(s1=command("cat next >t.log; echo >>ran", success_criteria=[asked]))
    project.run("--step", "1")
    assert project.text("ran") == "\n"
    assert last(project)[0] == "unproven"


def test_in_a_text_of_rows_that_was_written_anew_old_rows_prove_nothing(project):
    project.write("m.json", '[{"loss": 1.5}, {"loss": 9}]')
    project.write("next", '[{"loss": 8},\n {"loss": 9}, {"loss": 1.5}]')
    assert judged(project, "cat next >m.json", {"metric": {**LOSS["metric"], "file": "m.json"}})[0] == "unproven"


@pytest.mark.parametrize(("added", "standing"), [("finished", "proven"), ("crashed", "unproven")])
def test_of_a_log_that_grew_only_the_new_lines_match(project, added, standing):
    project.write("t.log", "begun\nfinished\n")
    bound = {"matches": {"file": "t.log", "pattern": "finished"}}
    assert judged(project, f"echo {added} >>t.log", bound)[0] == standing


# Folders, many, odd ones


FOLDER = {"file": {"path": "ck/step_*", "dir_ok": True}}


@pytest.mark.parametrize(
    ("text", "standing"),
    [
        ("touch ck/step_1 ck/step_1/w", "unproven"),
        ("cp -r ck/step_1 x; rm -r ck/step_1; mv x ck/step_1", "unproven"),
        ("printf new >ck/step_1/w; touch -d @1500000000 ck/step_1/w ck/step_1", "proven"),
        ("mkdir ck/step_2; cp -p ck/step_1/w ck/step_2", "proven"),
        ("rm ck/step_1/optimizer", "unproven"),
        ("mv ck/step_1 ck/step_2", "unproven"),
        ("rm ck/step_1/optimizer; printf new >ck/step_1/v", "proven"),
    ],
)
def test_a_folder_is_what_lies_in_it(project, text, standing):
    old(project, "ck/step_1/w")
    old(project, "ck/step_1/optimizer")
    assert judged(project, text, FOLDER)[0] == standing


@pytest.mark.parametrize(("text", "standing"), [("true", "unproven"), ("echo new >ck/new", "proven")])
def test_of_more_names_than_are_remembered_none_is_taken_for_new(project, text, standing):
    folder = project.root / "ck"
    folder.mkdir()
    for number in range(10_100):
        (folder / f"{number}").touch()
        os.utime(folder / f"{number}", (OLD_S + number, OLD_S + number))
    time.sleep(0.05)
    assert judged(project, text, FILE)[0] == standing
    assert "ck/* finds more than 10,000 names" in project.event("WarningRaised")["message"]


@pytest.mark.parametrize(("text", "standing"), [("true", "unproven"), ("mkfifo ck/q", "proven")])
def test_a_pipe_is_not_waited_for(project, text, standing):
    (project.root / "ck").mkdir()
    os.mkfifo(project.root / "ck/p")
    assert judged(project, text, FILE)[0] == standing


def test_evidence_may_lie_outside_the_project(project, tmp_path):
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "a"
    path.write_text("old")
    project.environ["HOME"] = str(tmp_path)
    assert judged(project, "touch ~/out/a", {"file": "~/out/*"})[0] == "unproven"
    assert judged(project, "echo new >../out/a", {"file": "../out/*"})[0] == "proven"


# Which MAIN


def test_the_same_main_may_make_the_same_again(project):
    text = "mkdir -p ck; cat in >ck/a"
    project.write("in", "result")
    assert judged(project, text, FILE)[0] == "proven"
    for _ in range(2):
        assert project.run("--step", "1", "--rerun").code == 0, last(project)


def test_another_main_that_makes_nothing_is_not_proven_by_what_the_last_one_made(project):
    assert judged(project, "mkdir -p ck; echo x >ck/a", FILE)[0] == "proven"
    assert judged(project, "true", FILE, "--rerun")[0] == "unproven"


def test_a_main_that_crashed_and_was_mended_may_make_the_same_again(project):
    project.write("in", "result")
    old(project, "ck/before")
    text = "cat in >ck/a; test -e mended"
    assert judged(project, "true", FILE)[0] == "unproven"
    project.plan(s1=command(text, success_criteria=[{"criterion": "there", "file": "ck/*"}]))
    assert project.run("--step", "1").code == 1
    project.plan(s1=command(f"touch mended; {text}", success_criteria=[{"criterion": "there", "file": "ck/*"}]))
    assert project.run("--step", "1").code == 0, last(project)


def test_the_same_main_that_leaves_what_it_made_before_is_not_proven(project):
    text = "[ -e ck/a ] || { mkdir ck; echo x >ck/a; }"
    assert judged(project, text, FILE)[0] == "proven"
    assert judged(project, text, FILE, "--rerun")[0] == "unproven"


def test_what_the_first_try_made_counts_after_the_second(project):
    text = "[ -e ck/a ] && exit 0; mkdir -p ck; echo x >ck/a; exit 75"
    assert judged(project, text, FILE, retry={"attempts": 2, "on": ["exit:75"]})[0] == "proven"


def test_what_a_main_made_that_is_not_repeated_counts_however_the_folder_was_copied(project, tmp_path):
    old(project, "ck/before")
    step = command("echo x >ck/a", success_criteria=[{"criterion": "there", "file": "ck/*"}])
    project.plan(s1={**step, "post_validation": [{"task": "go", "command": "test -e go"}]})
    assert project.run("--step", "1").code == 1
    shutil.copytree(project.root, tmp_path / "copy", copy_function=shutil.copyfile)
    copy = Project(tmp_path / "copy")
    (copy.root / "go").touch()
    assert copy.run("--continue").code == 0
    assert copy.events("MainReused")


@pytest.mark.parametrize(("text", "code"), [("echo x >ck/a", 0), ("true", 1)])
def test_what_was_there_before_proves_nothing_for_a_main_that_is_not_repeated(project, text, code):
    old(project, "ck/before")
    step = command(text, success_criteria=[{"criterion": "there", "file": "ck/*"}])
    project.plan(s1={**step, "post_validation": [{"task": "go", "command": "test -e go"}]})
    assert project.run("--step", "1").code == 1
    project.write("go", "")
    (project.root / "ck/before").touch()
    assert project.run("--continue").code == code


def test_what_a_killed_main_made_counts_after_the_next_run_of_its_task(project):
    text = "[ -e ck/a ] && exit 0; mkdir -p ck; echo x >ck/a; touch up; sleep 60"
    project.plan(s1=command(text, success_criteria=[{"criterion": "there", "file": "ck/*"}]))
    process = project.start("--step", "1")
    until(lambda: project.has("up"), "MAIN was never up")
    process.terminate()
    finish(process)
    assert project.run("--continue").code == 0, last(project)


def test_a_task_that_an_earlier_version_began_is_judged_by_times(project):
    step = command("mkdir -p ck; echo x >ck/a", success_criteria=[{"criterion": "there", "file": "ck/*"}])
    project.plan(s1={**step, "post_validation": [{"task": "go", "command": "test -e go"}]})
    project.run("--step", "1")
    for record in project.root.glob(".do-tasks/jobs/*/before.*.json"):
        record.unlink()
    project.write("go", "")
    assert project.run("--continue").code == 0, last(project)


def test_what_test_wrote_proves_nothing_though_an_executor_died_before_main(project):
    step = command("true", success_criteria=[{"criterion": "there", "file": "ck/*"}])
    step["main"]["test"] = {"command": "mkdir -p ck; echo x >ck/a"}
    assert project.plan(s1=step).run("--step", "1").code == 1
    assert last(project)[0] == "unproven"


@pytest.mark.parametrize(("done", "code"), [("touch", 3), ("write", 0)])
def test_a_host_is_judged_by_what_was_there_at_its_brief(project, done, code):
    main = {"runner": "host", "objective": "Write it", "success_criteria": [{"criterion": "there", "file": "poem.txt"}]}
    path = old(project, "poem.txt")
    project.plan(s1={"main": main}).run("--step", "1")
    path.touch() if done == "touch" else path.write_text("new")
    assert project.run("resume", project.event("BriefGiven")["task_id"]).code == code


# Checkpoints of a job

SAVES = """\
import os, sys, time
os.makedirs("ck", exist_ok=True)
open("ck/.tmp", "w").write("w" * 100)
os.utime("ck/.tmp", (time.time() - 120,) * 2)
os.rename("ck/.tmp", sys.argv[1])
time.sleep(3)
"""


@pytest.mark.parametrize("saved", ["ck/step_2.pt", "ck/step_1.pt"])
def test_a_checkpoint_with_an_old_time_counts_and_one_of_before_does_not(project, saved):
    old(project, "ck/step_1.pt", when_s=time.time() + LATER_S)
    project.write("train.py", SAVES)
    main = {"command": f"python3 train.py {saved}", "test": "none", "mode": "background", "timeout": 1}
    project.plan(s1={"main": main, "background": [{"task": "saved", "checkpoints": "ck/step_*", "interval": 1}]})
    project.run("--step", "1")
    assert project.run("--monitor", "--until", "finished", "--timeout", "300").code == 0
    assert project.event("CheckpointSaved")["path"] == saved


def test_checkpoints_of_before_are_none_of_the_job(project):
    old(project, "ck/step_1.pt", when_s=time.time() + LATER_S)
    main = {"command": "touch ck/step_1.pt; sleep 3", "test": "none", "mode": "background", "timeout": 1}
    project.plan(s1={"main": main, "background": [{"task": "saved", "checkpoints": "ck/step_*", "interval": 1}]})
    project.run("--step", "1")
    assert project.run("--monitor", "--until", "finished", "--timeout", "300").code == 0
    assert not project.events("CheckpointSaved")


def test_records_lie_in_the_folder_of_the_task(project):
    old(project, "ck/a")
    judged(project, "true", FILE)
    (record,) = project.root.glob(".do-tasks/jobs/task_*/before.*.json")
    assert not [*Path(record.parent).glob("*.tmp")]


RECORDS = {
    "no JSON": b"{",
    "deep": b"[" * 100_000,
    "another form": b'{"v": 1, "began_ns": 1, "globs": {"ck/*": {"cut": false, "names": {"ck/a": [1, "x"]}}}}',
}


@pytest.mark.parametrize("content", RECORDS)
def test_a_record_that_somebody_broke_is_none(project, content):
    step = command("mkdir -p ck; echo x >ck/a", success_criteria=[{"criterion": "there", "file": "ck/*"}])
    project.plan(s1={**step, "post_validation": [{"task": "go", "command": "test -e go"}]})
    project.run("--step", "1")
    for record in project.root.glob(".do-tasks/jobs/*/before.*.json"):
        record.write_bytes(RECORDS[content])
    project.write("go", "")
    assert project.run("--continue").code == 0, last(project)
    assert project.run("--step", "1", "--rerun").code in (0, 1)


def test_a_main_cannot_change_what_was_there_before(project):
    old(project, "ck/a")
    project.write("forged", '{"v": 1, "began_ns": 1, "globs": {}}')
    text = "touch ck/a; for record in .do-tasks/jobs/task_1_*/before.*.json; do cp forged $record; done"
    assert judged(project, text, FILE)[0] == "unproven"


# TEST of a script that knows no test form


def test_what_a_full_test_made_and_main_makes_again_is_evidence(project):
    project.write("one.sh", "echo x > out\n")
    bound = [{"criterion": "There", "file": "out"}]
    project.plan(s1={"main": {"script": "one.sh", "success_criteria": bound}})
    assert project.run("--step", "1").code == 0


def test_what_test_alone_made_is_no_evidence(project):
    project.write("one.sh", 'if [ "$DO_TASKS_TEST" = 1 ]; then echo x > out; fi\n')
    bound = [{"criterion": "There", "file": "out"}]
    project.plan(s1={"main": {"script": "one.sh", "success_criteria": bound}})
    assert project.run("--step", "1").code == 1


@pytest.mark.parametrize("way", ["mv old.pt new.pt; touch new.pt", "touch old.pt; ln old.pt new.pt"])
def test_an_old_file_under_another_name_with_another_time_proves_nothing(tmp_path, way):
    project = Project(tmp_path / "p")
    project.write("old.pt", "yesterday")
    project.plan(s1=command(way, success_criteria=[{"criterion": "It is there", "file": "*.pt"}]))
    done = project.run("--step", "1")
    assert done.code == (1 if born_ns(str(project.root / "SPEC.md")) else 0), done


def test_a_new_file_proves_though_it_has_the_place_of_a_deleted_one_and_its_content(tmp_path):
    project = Project(tmp_path / "p")
    project.write("old.pt", "yesterday")
    way = "rm old.pt; printf yesterday >new.pt"
    project.plan(s1=command(way, success_criteria=[{"criterion": "It is there", "file": "*.pt"}]))
    assert project.run("--step", "1").code == 0
