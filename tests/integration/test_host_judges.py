"""What judges a step whose brief is out is as it was at the brief, or a person has accepted the change."""

from __future__ import annotations

import json
import os
import pty
import shutil
import sys

import pytest

from tests.integration.projects import Project, check, finish, until
from tests.integration.terminals import Terminal

CHECK = "import json, sys; sys.exit(json.load(open('counts.json'))['words'] < 5)\n"


@pytest.fixture
def project(tmp_path):
    here = Project(tmp_path / "p")
    here.environ["XDG_STATE_HOME"] = str(tmp_path / "state")
    return here


@pytest.fixture
def terminal(tmp_path, project):
    opened = Terminal(tmp_path / "terminal", project)
    yield opened
    opened.close()


def plan(equals=6, post="python3 tests/check.py", other="test -s two.txt", title="Count", **settings):
    criterion = {"criterion": "Six words", "metric": {"name": "words", "file": "counts.json", "equals": equals}}
    main = {"runner": "host", "objective": "Count the words", "success_criteria": [criterion]}
    second = {"main": {"command": "echo two >two.txt", "test": "none"}, "post_validation": [check("two", other)]}
    first = {"title": title, "main": main, "post_validation": [check("counted", post)]}
    return {"settings": {"protect": ["fixtures/**"], **settings}, "step_1_count": first, "step_2_two": second}


def write_plan(project, **more):
    project.write("step_definitions.yaml", json.dumps(plan(**more)))


def briefed(project, words=6, **more):
    """Give the brief of step 1, and do its work."""
    project.write("tests/check.py", CHECK)
    project.write("fixtures/gold.json", "{}")
    project.write("SPEC.md", "- [ ] **STEP 1**: Count\n- [ ] **STEP 2**: Two\n")
    write_plan(project, **more)
    done = project.run("--step", "1")
    assert done.code == 3, done
    project.write("counts.json", json.dumps({"words": words}))
    return project.events("BriefGiven")[-1]["task_id"]


def refused(project, *words):
    """See that these words are refused and nothing is ticked; return what was said."""
    before = project.spec
    done = project.run(*words)
    assert (done.code, project.spec, project.events("StepPassed")) == (3, before, []), done
    assert "a person accepts it: do-tasks accept 1" in done.err
    return done.err


def replaced(project, name, old, new):
    path = project.root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def linked(project, name):
    path = project.root / name
    path.rename(project.root / "elsewhere")
    path.symlink_to(project.root / "elsewhere")


CHANGES = {
    "criterion": (lambda p: write_plan(p, equals=5), "step_definitions.yaml: step 1, success_criteria"),
    "POST": (lambda p: write_plan(p, post="true"), "step_definitions.yaml: step 1, post_validation"),
    "another step": (lambda p: write_plan(p, other="true"), "step_definitions.yaml: step 2, post_validation"),
    "settings": (lambda p: write_plan(p, protect=[]), "step_definitions.yaml: settings, protect"),
    "strict": (lambda p: write_plan(p, strict=True), "step_definitions.yaml: settings, strict"),
    "a test": (lambda p: p.write("tests/check.py", ""), "tests/check.py: changed"),
    "a glob": (lambda p: p.write("fixtures/gold.json", "{1}"), "fixtures/gold.json: changed"),
    "a new file": (lambda p: p.write("tests/conftest.py", ""), "tests/conftest.py: is new"),
    "a link": (lambda p: linked(p, "tests/check.py"), "tests/check.py: was replaced"),
    "no file": (lambda p: (p.root / "tests/check.py").unlink(), "tests/check.py: is gone"),
    "a mode": (lambda p: (p.root / "tests/check.py").chmod(0o755), "tests/check.py: has another mode"),
    "its box": (lambda p: replaced(p, "SPEC.md", "[ ] **STEP 1", "[x] **STEP 1"), "SPEC.md: box of step 1: [x]"),
    "a box": (lambda p: replaced(p, "SPEC.md", "[ ] **STEP 2", "[x] **STEP 2"), "SPEC.md: box of step 2: [x]"),
    "a line": (lambda p: replaced(p, "SPEC.md", "- [ ] **STEP 2", "- STP 2"), "SPEC.md: box of step 2: no line"),
}


@pytest.mark.first_rows(4)
@pytest.mark.parametrize("kind", CHANGES)
def test_what_judges_is_not_changed_between_brief_and_resume(project, kind):
    task_id = briefed(project, words=5)
    change, name = CHANGES[kind]
    change(project)
    assert name in refused(project, "resume", task_id)
    assert any(one.startswith(name) for one in project.event("JudgesChanged")["changes"])


def test_what_was_put_back_judges_again(project):
    task_id = briefed(project)
    project.write("tests/check.py", "")
    refused(project, "resume", task_id)
    project.write("tests/check.py", CHECK)
    done = project.run("resume", task_id)
    assert (done.code, "(1 proven, uncontained)" in project.spec) == (0, True), done


def test_form_titles_and_prose_may_change(project):
    task_id = briefed(project)
    text = json.dumps(plan(title="Count all the words"), indent=3, sort_keys=True)
    project.write("step_definitions.yaml", f"# a comment\n{text}\n")
    replaced(project, "SPEC.md", "Count", "Count all the words\n\nSome prose.\n")
    done = project.run("resume", task_id)
    assert done.code == 0, done


def test_no_verb_runs_anything_while_a_judge_is_another(project):
    briefed(project)
    write_plan(project, other="true")
    for words in ("--continue", "--step 1", "--step 2", "--all", "--step 1 --rerun", "recheck", "retick"):
        assert "step 2, post_validation" in refused(project, *words.split())
    assert (project.has("two.txt"), len(project.events("JudgesChanged"))) == (False, 1)


def test_a_box_ticked_by_hand_is_not_noted_and_passed_over(project):
    briefed(project)
    replaced(project, "SPEC.md", "[ ] **STEP 2", "[x] **STEP 2")
    assert "SPEC.md: box of step 2: [x], was [ ]" in refused(project, "--continue")
    assert not project.events("HandTickSeen")


def test_a_task_that_was_ended_is_not_begun_again_with_a_looser_judge(project):
    task_id = briefed(project, words=5)
    assert project.run("stop", task_id).code == 0
    write_plan(project, equals=5)
    assert "step 1, success_criteria" in refused(project, "--step", "1")


def test_what_do_tasks_ticks_itself_is_no_change(project):
    task_id = briefed(project)
    assert project.run("--step", "2").code == 0
    assert project.run("recheck", "2").code == 0
    done = project.run("resume", task_id)
    assert (done.code, project.spec.count("[x]")) == (0, 2), done


def test_a_second_round_and_a_repeated_brief_keep_the_first_memory(project):
    task_id = briefed(project, words=4)
    assert project.run("resume", task_id).code == 3
    assert project.run("--continue").code == 3
    first, second = (line["judges"] for line in project.events("BriefGiven"))
    write_plan(project, equals=4)
    assert (first, "success_criteria" in refused(project, "resume", task_id)) == (second, True)


def test_two_briefs_share_what_is_remembered(project):
    first = briefed(project)
    assert project.run("--step", "2", "--runner", "host").code == 3
    second = project.events("BriefGiven")[-1]["task_id"]
    project.write("tests/check.py", "")
    refused(project, "resume", second)
    project.write("tests/check.py", CHECK)
    project.write("two.txt", "two")
    assert (project.run("resume", first).code, project.run("resume", second).code) == (0, 0)
    assert not project.has(".do-tasks/briefs")


def test_definitions_in_the_claude_folder_are_remembered_too(project):
    project.write(".claude/tasks/step_definitions.yaml", json.dumps(plan()))
    project.write("SPEC.md", "- [ ] **STEP 1**: Count\n- [ ] **STEP 2**: Two\n")
    project.run("--step", "1")
    write_plan(project, equals=5)
    task_id = project.event("BriefGiven")["task_id"]
    assert "it was .claude/tasks/step_definitions.yaml" in refused(project, "resume", task_id)


# The memory itself


def remembered(project, name):
    (path,) = (project.root / ".do-tasks/briefs").glob(f"*/{name}")
    return path


def outside(project):
    (path,) = (project.root.parent / "state/do-tasks").glob("*/*.json")
    return path


def rewrite_line(project, event, **fields):
    path = project.root / ".task_execution.log"
    lines = [line | (fields if line["event"] == event else {}) for line in project.lines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def without_line(project, event):
    path = project.root / ".task_execution.log"
    path.write_text("".join(json.dumps(line) + "\n" for line in project.lines() if line["event"] != event))


def forge_both(project):
    for path in (remembered(project, "judges.json"), outside(project)):
        path.write_text(path.read_text().replace('"parts":{', '"parts":{"forged":"1",'))


FORGERIES = {
    "inside gone": lambda p: shutil.rmtree(p.root / ".do-tasks/briefs"),
    "outside gone": lambda p: outside(p).unlink(),
    "files rewritten": lambda p: remembered(p, "manifest.json").write_text("{}"),
    "both rewritten": forge_both,
    "line rewritten": lambda p: rewrite_line(p, "BriefGiven", judges="000000000000:00000000000000000000000000000000"),
    "line emptied": lambda p: rewrite_line(p, "BriefGiven", judges=""),
    "line gone": lambda p: without_line(p, "BriefGiven"),
}


@pytest.mark.first_rows(2)
@pytest.mark.parametrize("kind", FORGERIES)
def test_a_memory_that_is_gone_or_another_is_a_refusal_of_its_own(project, kind):
    task_id = briefed(project)
    FORGERIES[kind](project)
    assert "cannot be compared" in refused(project, "resume", task_id)
    assert "cannot be compared" in refused(project, "--continue")


def test_caches_that_an_agent_wrote_are_not_believed(project):
    task_id = briefed(project)
    replaced(project, ".do-tasks/cache/plan.json", "python3 tests/check.py", "true")
    (project.root / ".do-tasks/state.json").write_text("{}")
    project.write("tests/check.py", "import sys; sys.exit(1)")
    assert "tests/check.py: changed" in refused(project, "resume", task_id)
    project.write("tests/check.py", CHECK)
    done = project.run("resume", task_id)
    assert (done.code, project.check("counted")["command"]) == (0, "python3 tests/check.py"), done


def test_a_copy_on_this_machine_goes_on_with_what_was_remembered(project, tmp_path):
    task_id = briefed(project)
    shutil.copytree(project.root, tmp_path / "copy", symlinks=True)
    copy = Project(tmp_path / "copy")
    copy.environ = project.environ
    copy.write("tests/check.py", "")
    assert "tests/check.py: changed" in refused(copy, "resume", task_id)
    copy.write("tests/check.py", CHECK)
    assert copy.run("resume", task_id).code == 0


# Acceptance


def accepted(project, terminal, **more):
    """Loosen the criterion while the brief is out, and have a person accept it; return the task."""
    task_id = briefed(project, words=5)
    write_plan(project, equals=5, **more)
    code, shown = terminal.run("accept", "1", "--by", "Ann", "--reason", "typo", answer="1")
    assert code == 0, shown
    return task_id


def test_a_person_is_shown_the_change_and_accepts_it(project, terminal):
    briefed(project, words=5)
    write_plan(project, equals=5)
    code, shown = terminal.run("accept", "1", "--by", "Ann", answer="1")
    assert (code, "step_definitions.yaml: step 1, success_criteria" in shown) == (0, True), shown
    fact = project.event("JudgesAccepted")
    assert (fact["by"], fact["changes"]) == ("Ann", ["step_definitions.yaml: step 1, success_criteria"])
    assert list(fact["digests"]) == ["step_definitions.yaml"]


def test_after_acceptance_the_new_judge_judges_and_the_tick_says_so(project, terminal):
    task_id = accepted(project, terminal)
    done = project.run("resume", task_id)
    assert (done.code, "(1 proven, uncontained, accepted by Ann)" in project.spec) == (0, True), done
    assert project.run("list", "--json").json["steps"][0]["tick"] == "accepted"
    assert project.run("recheck", "1").code == 0
    assert project.run("list", "--json").json["steps"][0]["tick"] == "accepted"


def test_an_accepted_tick_is_not_enough_for_strict(project, terminal):
    project.run("resume", accepted(project, terminal))
    done = project.run("--continue", "--strict")
    assert (done.code, "not enough for strict" in done.out) == (3, True), done


def test_what_was_accepted_is_what_is_remembered_from_then_on(project, terminal):
    task_id = accepted(project, terminal)
    write_plan(project, equals=4)
    assert "step 1, success_criteria" in refused(project, "resume", task_id)


def test_another_number_accepts_nothing(project, terminal):
    task_id = briefed(project, words=5)
    write_plan(project, equals=5)
    code, shown = terminal.run("accept", "1", answer="yes")
    assert (code, "Nothing was accepted" in shown) == (3, True)
    refused(project, "resume", task_id)


def test_a_memory_that_is_gone_can_be_accepted(project, terminal):
    task_id = briefed(project)
    shutil.rmtree(project.root.parent / "state")
    refused(project, "resume", task_id)
    code, shown = terminal.run("accept", "1", answer="1")
    assert (code, "is unknown: " in shown) == (0, True), shown
    done = project.run("resume", task_id)
    assert (done.code, "accepted by" in project.spec) == (0, True), done


def in_a_pty(project, argv, answer=b"1\n"):
    """Run in a new terminal, as pty.spawn does; return the exit code and what was shown."""
    ours, theirs = pty.openpty()
    process = project.start(argv=argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    os.write(ours, answer)
    shown = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:
            break
        if not block:
            break
        shown += block
    os.close(ours)
    return finish(process).code, shown.decode(errors="replace")


DO_TASKS = (sys.executable, "-m", "executor")
ACCEPT = (*DO_TASKS, "accept", "1")
ESCAPES = {
    "a pty": ACCEPT,
    "script": ("script", "-qec", " ".join(ACCEPT), "/dev/null"),
    "a session": ("setsid", "--wait", *ACCEPT),
    "a clean environment": ("env", "-u", "CLAUDECODE", *ACCEPT),
}


@pytest.mark.parametrize("kind", ESCAPES)
def test_the_process_of_a_brief_accepts_in_no_terminal(project, kind):
    task_id = briefed(project, words=5)
    write_plan(project, equals=5)
    code, shown = in_a_pty(project, ESCAPES[kind])
    assert (code, "a brief of this project was given to it" in shown) == (2, True), shown
    assert (project.events("JudgesAccepted"), refused(project, "resume", task_id) == "") == ([], False)


def test_a_terminal_that_was_let_go_after_the_brief_accepts_nothing(project, tmp_path):
    briefed(project, words=5)
    write_plan(project, equals=5)
    late = Terminal(tmp_path / "late", project)
    code, shown = late.run("accept", "1", answer="1")
    late.close()
    assert (code, "began after the brief" in shown, project.events("JudgesAccepted")) == (2, True, []), shown


def laid_out(project):
    """Write the project of `briefed`, with the work of step 1 done and no brief given; step 1 would fail."""
    project.write("tests/check.py", CHECK)
    project.write("SPEC.md", "- [ ] **STEP 1**: Count\n- [ ] **STEP 2**: Two\n")
    project.write("counts.json", json.dumps({"words": 5}))
    write_plan(project)


def test_a_brief_that_a_dead_process_took_lets_no_late_terminal_accept(project, tmp_path):
    laid_out(project)
    taken = f"echo $$ >taker; {' '.join(DO_TASKS)} --step 1 >brief.out 2>&1; : >taken"
    finish(project.start(argv=("bash", "-c", f"(setsid bash -c '{taken}' &)")))
    until(lambda: project.has("taken"), "the brief was never taken")
    until(lambda: not os.path.exists(f"/proc/{project.text('taker').strip()}"), "who took the brief never ended")
    write_plan(project, equals=5)
    late = Terminal(tmp_path / "late", project)
    code, shown = late.run("accept", "1", answer="1")
    late.close()
    assert (code, "began after the brief" in shown, project.events("JudgesAccepted")) == (2, True, []), shown


def test_a_helper_from_before_the_brief_accepts_at_no_terminal_that_it_opens_later(project, tmp_path):
    helper = Terminal(tmp_path / "helper", project, waits_for=tmp_path / "go")
    briefed(project, words=5)
    write_plan(project, equals=5)
    helper.open()
    code, shown = helper.run("accept", "1", answer="1")
    helper.close()
    assert (code, "with no terminal" in shown, project.events("JudgesAccepted")) == (2, True, []), shown


def test_a_process_that_was_given_the_brief_stays_it_as_another_program(project, terminal):
    laid_out(project)
    project.write("looser.json", json.dumps(plan(equals=5)))
    do_tasks = " ".join(DO_TASKS)
    said = f"{do_tasks} --step 1 >brief.out; cp looser.json step_definitions.yaml; exec {do_tasks} accept 1"
    code, shown = terminal.line(f"sh -c '{said}'", answer="1")
    assert (code, "a brief of this project was given to it" in shown) == (2, True), shown
    assert not project.events("JudgesAccepted")


def test_a_shell_from_before_the_brief_accepts_though_a_dead_process_took_it(project, terminal):
    laid_out(project)
    finish(project.start(argv=("bash", "-c", f"(setsid {' '.join(DO_TASKS)} --step 1 >brief.out 2>&1 &)")))
    project.until_logged("BriefGiven")
    write_plan(project, equals=5)
    code, shown = terminal.line(f"until {' '.join(ACCEPT)}; do sleep 0.2; done", answer="1")
    assert (code, len(project.events("JudgesAccepted"))) == (0, 1), shown


MARKS = ("CLAUDECODE", "CODEX_THREAD_ID", "OPENCODE", "CURSOR_AGENT", "GEMINI_CLI", "DO_TASKS_TASK_ID")


def test_no_session_of_an_agent_accepts(project, terminal):
    briefed(project, words=5)
    write_plan(project, equals=5)
    for name in MARKS:
        terminal.type(f"export {name}=1")
        code, shown = terminal.run("accept", "1")
        assert (code, f"{name} is set here" in shown) == (2, True), shown
        terminal.type(f"unset {name}")
    assert not project.events("JudgesAccepted")


@pytest.mark.parametrize("verb", ["mark-done", "reopen"])
def test_a_name_does_not_stand_in_for_a_terminal_while_a_brief_is_out(project, terminal, verb):
    briefed(project)
    before = project.spec
    done = project.run(verb, "2", "--by", "me", "--reason", "so")
    assert (done.code, "is for a person" in done.err, project.spec) == (2, True, before), done
    code, shown = terminal.run(verb, "2", "--by", "Ann", answer="1")
    assert (code, "was not typed back" in shown, project.spec) == (2, True, before), shown
    code, shown = terminal.run(verb, "2", "--by", "Ann", answer="2")
    assert code == 0, shown


def test_a_box_that_a_person_ticked_at_a_terminal_is_no_change(project, terminal):
    task_id = briefed(project)
    assert terminal.run("mark-done", "2", answer="2")[0] == 0
    assert project.run("resume", task_id).code == 0


def test_without_a_brief_a_name_and_a_reason_will_do(project):
    assert project.run("resume", briefed(project)).code == 0
    assert project.run("mark-done", "2", "--by", "me", "--reason", "so").code == 0


def test_nothing_is_accepted_where_nothing_changed(project, terminal):
    briefed(project)
    code, shown = terminal.run("accept", "1")
    assert (code, "nothing to accept" in shown) == (0, True), shown
    code, shown = terminal.run("accept", "2")
    assert (code, "step 2 has no brief" in shown) == (2, True), shown


# The log


def forged(project, event, **fields):
    """Append a line to the log as an agent would, from the last one of ours."""
    line = project.lines()[-1] | {"event": event, "status": "passed", **fields}
    with (project.root / ".task_execution.log").open("a") as log:
        log.write(json.dumps(line) + "\n")


@pytest.mark.first_rows(2)
@pytest.mark.parametrize("event", ["StepPassed", "JudgesAccepted", "StepReopened", "SpecTicked"])
def test_a_line_that_do_tasks_did_not_write_is_no_fact(project, event):
    task_id = briefed(project, words=5)
    before = project.text(".task_execution.log")
    forged(project, event, by="Ann", judges="", terminal=True)
    for words in (("--continue",), ("resume", task_id)):
        done = project.run(*words)
        assert (done.code, f"a line that do-tasks did not write ({event}" in done.err) == (3, True), done
        assert "[x]" not in project.spec
    kept = [line for line in project.text(".task_execution.log").splitlines(keepends=True) if f'"{event}"' not in line]
    assert before in "".join(kept)
    project.write(".task_execution.log", "".join(kept))
    project.write("counts.json", json.dumps({"words": 6}))
    assert project.run("resume", task_id).code == 0


def test_a_line_from_before_the_brief_stays_as_it_was(project):
    task_id = briefed(project)
    replaced(project, ".task_execution.log", "TaskStarted", "TaskResumed")
    assert "lines from before the brief changed" in refused(project, "resume", task_id)


def test_no_round_is_won_by_taking_its_line_away(project):
    task_id = briefed(project, words=4)
    assert project.run("resume", task_id).code == 3
    lines = project.text(".task_execution.log").splitlines(keepends=True)
    second = [at for at, line in enumerate(lines) if '"BriefGiven"' in line][-1]
    project.write(".task_execution.log", "".join(line for at, line in enumerate(lines) if at != second))
    assert "a line that do-tasks wrote is gone (BriefGiven)" in refused(project, "resume", task_id)


def test_a_log_that_was_rotated_is_read_on(project):
    task_id = briefed(project)
    assert project.run("log", "--rotate").code == 0
    assert project.run("--step", "2").code == 0
    assert project.run("resume", task_id).code == 0


def test_a_folder_that_was_wiped_is_known_again(project):
    briefed(project, words=5)
    shutil.rmtree(project.root / ".do-tasks")
    (project.root / ".task_execution.log").unlink()
    write_plan(project, equals=5)
    assert "cannot be compared" in refused(project, "--step", "1")


# While something runs


def test_what_changes_while_post_runs_is_seen_before_the_tick(project):
    project.write("late.sh", "echo >tests/check.py\n")
    task_id = briefed(project, post="sh late.sh", sandbox={"mode": "off"})
    assert "tests/check.py: changed" in refused(project, "resume", task_id)


def test_a_job_that_ends_meanwhile_is_not_judged_by_another_judge(project):
    job = {"main": {"command": "until test -e go; do sleep 0.1; done", "mode": "background"}}
    body = plan() | {"step_3_job": job | {"depends_on": [], "post_validation": [check("judge", "sh tests/gate.sh")]}}
    project.write("tests/check.py", CHECK)
    project.write("tests/gate.sh", "exit 1\n")
    project.write("SPEC.md", "".join(f"- [ ] **STEP {number}**: T\n" for number in (1, 2, 3)))
    project.write("step_definitions.yaml", json.dumps(body))
    assert project.run("--step", "3").code == 0
    assert project.run("--step", "1").code == 3
    project.write("tests/gate.sh", "exit 0\n")
    project.write("go", "")
    project.until_logged("StepFailed")
    failed = project.event("StepFailed")
    assert (failed["step"], "tests/gate.sh: changed" in failed["reason"]) == (3, True)
    project.write("tests/gate.sh", "exit 1\n")
    done = project.run("--step", "3")
    assert (done.code, len(project.events("MainStarted")), "judge: expected exit 0" in done.out) == (1, 1, True), done


def test_the_record_of_what_lay_there_before_is_not_rewritten(project):
    project.write("counts.json", json.dumps({"words": 6}))
    task_id = briefed(project)
    (record,) = (project.root / f".do-tasks/jobs/{task_id}").glob("before.*.json")
    record.write_text("{}")
    assert "it says what lay there before MAIN" in refused(project, "resume", task_id)


def test_a_death_before_the_brief_went_out_leaves_nothing_to_accept(project):
    briefed(project)
    without_line(project, "BriefGiven")
    lines = next((project.root.parent / "state/do-tasks").glob("*/*.lines"))
    lines.write_text("")
    done = project.run("--continue")
    assert (done.code, "## Objective" in done.out) == (3, True), done
    assert project.run("resume", project.event("BriefGiven")["task_id"]).code == 0


def test_where_nothing_can_be_kept_outside_the_project_alone_remembers(project):
    project.environ["XDG_STATE_HOME"] = "/proc/nowhere"
    task_id = briefed(project)
    assert any("in .do-tasks alone" in line["message"] for line in project.events("WarningRaised"))
    project.write("tests/check.py", "")
    assert "tests/check.py: changed" in refused(project, "resume", task_id)
    project.write("tests/check.py", CHECK)
    forged(project, "StepPassed")
    assert "did not write (StepPassed" in project.run("--continue").err


def test_a_project_that_was_moved_goes_on(project, tmp_path):
    task_id = briefed(project)
    project.root.rename(tmp_path / "moved")
    moved = Project(tmp_path / "moved")
    moved.environ = project.environ
    assert moved.run("resume", task_id).code == 0
