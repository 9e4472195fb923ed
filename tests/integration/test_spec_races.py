"""Holds SPEC.md through editors, rights, links and line ends, in whole runs."""

from __future__ import annotations

import os
import threading

import pytest

from executor.errors import SpecError
from executor.store import spec_file
from tests.integration.projects import Project, check, command, finish, without_rights

PASSES = command("echo x >>ran")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


def one(project, spec=None, **step):
    return project.plan(spec=spec, s1={**PASSES, **step})


def ticks(text, task_id=""):
    return text.count("- [x]"), text.count(f"✓ [task_id: {task_id}")


# An editor at work


def changed_while(path, meddle):
    """Patch the file through our one way while `meddle` acts between our reading and our writing."""

    def patched(data):
        meddle(data)
        return data.replace(b"[ ]", b"[x]")

    return spec_file.change(str(path), f"{path}.lock", patched)


def test_what_an_editor_writes_between_our_reading_and_writing_stays(tmp_path):
    path = tmp_path / "SPEC.md"
    path.write_bytes(b"- [ ] a\n")
    changed_while(path, lambda data: None if b"new" in data else path.write_bytes(data + b"new\n"))
    assert path.read_bytes() == b"- [x] a\nnew\n"


def test_an_edit_of_the_same_length_and_time_is_seen(tmp_path):
    path = tmp_path / "SPEC.md"
    path.write_bytes(b"- [ ] a\n")
    status = path.stat()

    def edited(data):
        if data == b"- [ ] a\n":
            path.write_bytes(b"- [ ] b\n")
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    changed_while(path, edited)
    assert path.read_bytes() == b"- [x] b\n"


def test_an_editor_that_never_rests_is_not_overwritten(tmp_path):
    path = tmp_path / "SPEC.md"
    path.write_bytes(b"- [ ] a\n")
    with pytest.raises(SpecError, match="changed by somebody else"):
        changed_while(path, lambda data: path.write_bytes(data + b"more\n"))
    assert b"[x]" not in path.read_bytes()


def test_saves_during_a_run_lose_no_tick_and_no_line(project):
    steps = {f"s{number}": command("true") for number in range(1, 9)}
    project.plan(**steps)
    path, over = project.root / "SPEC.md", threading.Event()
    saved = 0

    def save():
        """Append as a person's `echo >>` does: in place, again and again."""
        nonlocal saved
        while not over.wait(0.01):
            with path.open("ab") as file:
                file.write(b"a note\n")
            saved += 1

    editor = threading.Thread(target=save)
    editor.start()
    codes = [project.run("--continue").code for _ in range(4)]
    over.set()
    editor.join()
    assert (codes[-1], ticks(project.spec)[0]) == (0, 8)


def test_a_title_edited_during_main_keeps_the_edit(project):
    one(project, main={"command": "sed -i 's/Title 1/Better/' SPEC.md", "test": "none"}).run("--step", "1")
    assert "- [x] **STEP 1**: Better ✓ [task_id:" in project.spec


def test_a_line_lost_during_main_is_told_with_exit_2(project):
    done = one(project, main={"command": "echo '# Plan' >SPEC.md", "test": "none"}).run("--step", "1")
    assert (done.code, "step 1 is not in SPEC.md" in done.err) == (2, True)


def test_a_line_put_back_is_ticked_without_a_second_main(project):
    one(project, main={"command": "echo x >>ran; mv SPEC.md kept", "test": "none"}).run("--step", "1")
    project.root.joinpath("kept").rename(project.root / "SPEC.md")
    assert (project.run("--continue").code, ticks(project.spec)[0], project.text("ran")) == (0, 1, "x\n")


def test_a_box_ticked_by_hand_during_a_failing_run_is_opened_with_the_reason(project):
    one(project, main={"command": "sed -i 's/\\[ ]/[x]/' SPEC.md; exit 3", "test": "none"}).run("--step", "1")
    assert "- [ ] **STEP 1**: Title 1 ✗ Failed [task_id:" in project.spec


def test_a_hand_tick_is_honoured_and_logged(project):
    one(project, spec="- [x] **STEP 1**: a\n").run("--step", "1")
    assert (project.has("ran"), len(project.events("HandTickSeen"))) == (False, 1)


def test_a_hand_untick_runs_the_step_again(project):
    one(project).run("--step", "1")
    project.write("SPEC.md", project.spec.replace("[x]", "[ ]"))
    assert (project.run("--continue").code, project.text("ran")) == (0, "x\nx\n")


def test_a_tick_of_another_log_is_done(project):
    line = "- [x] **STEP 1**: a ✓ [task_id: task_1_00000000] [2026-01-01 10:00]\n"
    done = one(project, spec=line).run("--step", "1")
    assert (done.code, project.has("ran"), project.spec) == (0, False, line)


# Rights and links


@pytest.mark.parametrize("words", [["--step", "1"], ["--continue"], ["--all", "--keep-going"]])
def test_a_read_only_spec_is_refused_before_anything_runs(project, words):
    one(project, pre_flight=[check("a", "touch checked")]).root.joinpath("SPEC.md").chmod(0o444)
    done = project.run(*words)
    assert (done.code, "chmod u+w" in done.err, project.has("checked")) == (6, True, False)


def test_a_spec_in_a_read_only_folder_is_refused_before_anything_runs(project, tmp_path):
    one(project)
    project.root.joinpath("SPEC.md").rename(tmp_path / "real.md")
    project.root.joinpath("SPEC.md").symlink_to(tmp_path / "real.md")
    tmp_path.chmod(0o555)
    done = without_rights(project, "--step", "1")
    tmp_path.chmod(0o755)
    assert (done.code, project.has("ran")) == (6, False)


def test_a_symlinked_spec_stays_a_link_to_the_ticked_file(project, tmp_path):
    one(project)
    project.root.joinpath("SPEC.md").rename(tmp_path / "real.md")
    project.root.joinpath("SPEC.md").symlink_to(tmp_path / "real.md")
    project.run("--step", "1")
    assert (project.root.joinpath("SPEC.md").is_symlink(), ticks((tmp_path / "real.md").read_text())[0]) == (True, 1)


def test_a_dangling_link_is_told(project):
    one(project).root.joinpath("SPEC.md").unlink()
    project.root.joinpath("SPEC.md").symlink_to("nowhere.md")
    assert project.run("--step", "1").code == 2


@pytest.mark.parametrize("main", [PASSES, command("exit 3")])
def test_the_mode_is_kept(project, main):
    project.plan(s1=main).root.joinpath("SPEC.md").chmod(0o640)
    project.run("--step", "1")
    assert project.root.joinpath("SPEC.md").stat().st_mode & 0o7777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of somebody else")
def test_a_spec_of_somebody_else_in_a_shared_folder_is_ticked(project):
    path = one(project).root.joinpath("SPEC.md")
    path.chmod(0o666)
    os.chown(path, 1, 1)
    assert (without_rights(project, "--step", "1").code, ticks(project.spec)[0]) == (0, 1)


def test_no_file_is_left_beside_the_spec(project):
    one(project).run("--step", "1")
    assert [name for name in os.listdir(project.root) if name.startswith((".SPEC", "SPEC.md."))] == []


# Bytes

ODD_BYTES = "\ufeff# Plan\r\n\r\n\t- a list\r\n- [ ] **STEP 1**: Ünï  \r\n- [ ] **STEP 10**: ten\r\n\r\nThe end"


def test_a_tick_changes_nothing_but_its_line(project):
    one(project, spec=ODD_BYTES).run("--step", "1")
    before, after = ODD_BYTES.split("\r\n"), project.spec.split("\r\n")
    assert [line for line in after if line not in before] == [after[3]]
    assert after[3].startswith("- [x] **STEP 1**: Ünï ")


def test_a_failure_changes_nothing_but_its_line(project):
    project.plan(spec=ODD_BYTES, s1=command("exit 3")).run("--step", "1")
    before, after = ODD_BYTES.split("\r\n"), project.spec.split("\r\n")
    assert [line for line in after if line not in before] == [after[3]]
    assert "✗ Failed" in after[3]


def test_failures_do_not_stack(project):
    project.plan(s1=command("exit 3"))
    for _ in range(3):
        project.run("--step", "1")
    assert project.spec.count("✗") == 1


def test_a_tick_replaces_the_failure_before_it(project):
    project.plan(s1=command("[ -e mended ]")).run("--step", "1")
    project.write("mended", "")
    project.run("--step", "1")
    assert ("✗" in project.spec, ticks(project.spec)) == (False, (1, 1))


def test_an_editors_tail_after_our_suffix_stays(project):
    one(project).run("--step", "1")
    project.write("SPEC.md", project.spec.rstrip("\n") + " - looked at\n")
    project.run("--step", "1", "--rerun")
    assert " - looked at" in project.spec


def test_a_step_in_a_fence_is_no_step(project):
    done = one(project, spec="```\n- [ ] **STEP 1**: an example\n```\n").run("--step", "1")
    assert (done.code, project.has("ran")) == (2, False)


# Lines that are missing or doubled


@pytest.mark.parametrize("words", [["--step", "1"], ["--continue"], ["--all"]])
def test_a_missing_line_is_told_with_the_way_to_add_it(project, words):
    done = one(project, spec="# Plan\n").run(*words)
    assert (done.code, "--append" in done.err, project.has("ran")) == (2, True, False)


def test_append_adds_the_line_and_runs(project):
    done = one(project, spec="# Plan\n", title="Given a line").run("--step", "1", "--append")
    assert (done.code, ticks(project.spec)[0], "**STEP 1**: Given a line" in project.spec) == (0, 1, True)


def test_two_lines_for_a_step_are_refused_before_anything_runs(project):
    done = one(project, spec="- [ ] **STEP 1**: a\n- [ ] **STEP 1**: b\n").run("--step", "1")
    assert (done.code, "SPEC.md has step 1 twice: lines 1 and 2" in done.err, project.has("ran")) == (2, True, False)


def test_a_dependency_with_two_lines_is_refused_too(project):
    spec = "- [ ] **STEP 1**: a\n- [x] **STEP 1**: b\n- [ ] **STEP 2**: c\n"
    done = project.plan(spec=spec, s1=PASSES, s2={**PASSES, "depends_on": [1]}).run("--step", "2")
    assert (done.code, project.has("ran")) == (2, False)


def test_a_run_waits_for_another_hand_at_the_spec(project):
    from executor.system import locks

    one(project).write(".do-tasks/x", "")
    with locks.ShortLock(str(project.root / ".do-tasks" / "spec.lock")):
        process = project.start("--step", "1")
        project.until_logged("StepPassed")
        assert ticks(project.spec)[0] == 0
    assert (finish(process).code, ticks(project.spec)[0]) == (0, 1)
