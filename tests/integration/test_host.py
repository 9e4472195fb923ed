"""The agent that called us does MAIN: it is told, it says that it is done, and the evidence decides."""

from __future__ import annotations

import json

import pytest

from tests.integration.projects import Project, check

POEM = "a\nb\nc\nd\n"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "p")


def plan(project, *, settings=None, **more):
    main = {
        "runner": "host",
        "objective": "Write four lines",
        "success_criteria": ["The poem rhymes", {"criterion": "It is there", "file": "poem.txt"}],
    }
    step = {"main": main | more.pop("main", {}), "post_validation": [check("lines", "test 4 = $(wc -l <poem.txt)")]}
    return project.plan(
        settings=settings, s1=step | more, s2={"main": {"command": "echo two >two.txt", "test": "none"}}
    )


def task_id(project):
    return project.events("BriefGiven")[-1]["task_id"]


def claim(project, evidence="lines 1 and 3 end alike", met=True):
    said = {"criteria": {"The poem rhymes": {"met": met, "evidence": evidence}}}
    project.write(f".do-tasks/jobs/{task_id(project)}/main.1/result.json", json.dumps(said))


def test_a_brief_is_given_and_nothing_is_held(project):
    done = plan(project).run("--step", "1")
    assert done.code == 3, done
    assert "## Objective\nWrite four lines" in done.out
    assert f"do-tasks resume {task_id(project)}" in done.out
    assert "- [ ] **STEP 1**" in project.spec
    assert project.run("list", "--json").json["steps"][0]["state"] == "waiting"
    assert project.run("--step", "2").code == 0


def test_a_step_that_waits_starts_no_second_task(project):
    first = plan(project).run("--step", "1")
    again = project.run("--continue")
    assert (first.code, again.code) == (3, 3)
    assert "## Objective\nWrite four lines" in again.out
    assert len(project.events("TaskStarted")) == 1
    assert len(project.events("BriefGiven")) == 1


def test_what_was_done_is_checked_and_ticked(project):
    plan(project).run("--step", "1")
    project.write("poem.txt", POEM)
    claim(project)
    done = project.run("resume", task_id(project))
    assert done.code == 0, done
    assert "(1 proven, 1 claimed, uncontained)" in project.spec
    assert project.event("SpecTicked")["task_id"] == task_id(project)


def test_a_word_alone_ticks_nothing(project):
    plan(project).run("--step", "1")
    claim(project)
    done = project.run("resume", task_id(project))
    assert done.code == 3, done
    assert "lines: expected exit 0" in done.out
    assert project.events("BriefGiven")[-1]["reason"].startswith("lines: expected exit 0")
    assert "- [ ] **STEP 1**" in project.spec


@pytest.mark.parametrize(("evidence", "met"), [("", True), ("no two lines do", False)])
def test_a_claim_needs_evidence_and_a_no_is_a_no(project, evidence, met):
    plan(project).run("--step", "1")
    project.write("poem.txt", POEM)
    claim(project, evidence, met)
    assert project.run("resume", task_id(project)).code == 3
    assert project.events("CriterionJudged", criterion="The poem rhymes")[-1]["standing"] == "unproven"


def test_what_was_there_before_is_no_evidence(project):
    project.write("poem.txt", POEM)
    plan(project).run("--step", "1")
    claim(project)
    assert project.run("resume", task_id(project)).code == 3
    assert project.events("CriterionJudged", criterion="It is there")[-1]["standing"] == "unproven"


def test_after_some_rounds_the_step_fails(project):
    plan(project, settings={"judge": {"rounds": 2}}).run("--step", "1")
    first = task_id(project)
    assert [project.run("resume", first).code for _ in range(2)] == [3, 1]
    assert "✗ Failed" in project.spec
    assert project.run("resume", first).code == 2
    assert project.run("--step", "1").code == 3
    assert task_id(project) != first


def test_strict_takes_no_claim(project):
    plan(project, settings={"strict": True, "judge": {"rounds": 1}}).run("--step", "1")
    project.write("poem.txt", POEM)
    claim(project)
    done = project.run("resume", task_id(project))
    assert done.code == 1, done
    assert "is only claimed" in done.out


def test_a_changed_objective_wants_a_new_brief(project):
    plan(project).run("--step", "1")
    first = task_id(project)
    plan(project, main={"objective": "Write a novel"})
    done = project.run("resume", first)
    assert (done.code, "has changed since the brief" in done.err) == (2, True)
    assert project.run("--step", "1", "--rerun").code == 3
    assert task_id(project) != first


@pytest.mark.parametrize("word", ["task_1_00000000", "nonsense", "task_9_0000000a"])
def test_only_a_task_that_waits_is_resumed(project, word):
    plan(project).run("--step", "1")
    done = project.run("resume", word)
    assert (done.code, "see: do-tasks" in done.err) == (2, True)


def test_a_person_stops_what_waits(project):
    plan(project).run("--step", "1")
    assert project.run("stop", task_id(project)).code == 0
    assert "stopped by do-tasks stop" in project.spec
    assert project.run("resume", task_id(project)).code == 2


def test_who_does_main_is_said_on_the_command_line_before_all(project):
    project.plan(s1={"main": {"command": "echo ran >ran.txt", "test": "none"}})
    assert project.run("--step", "1", "--runner", "host").code == 3
    assert not project.has("ran.txt")


def test_the_environment_may_say_who_does_main(project):
    project.plan(s1={"main": {"command": "echo ran >ran.txt", "test": "none"}})
    project.environ["DO_TASKS_RUNNER"] = "host"
    assert project.run("--step", "1").code == 3


@pytest.mark.parametrize("runner", ["slurm", "hots"])
def test_a_runner_that_is_not_there_is_refused_with_the_way_round(project, runner):
    project.plan(s1={"main": {"command": "true", "test": "none"}})
    done = project.run("--step", "1", "--runner", runner)
    assert (done.code, "host" in done.err) == (2, True)
    assert not project.events("TaskStarted")


def test_a_listed_skill_that_is_missing_says_where_it_belongs(project):
    done = plan(project, main={"skills": ["poetry"]}).run("--step", "1")
    assert done.code == 1, done
    assert ".claude/skills/poetry/SKILL.md" in done.out


def test_no_secret_is_in_a_brief(project):
    project.environ["API_TOKEN"] = "s3cret-that-nobody-may-see"
    done = plan(project, main={"objective": "Use s3cret-that-nobody-may-see"}).run("--step", "1")
    run = project.root / f".do-tasks/jobs/{task_id(project)}/main.1"
    texts = [done.out, (run / "brief.md").read_text(), (run / "brief.json").read_text()]
    assert not any("s3cret" in text for text in texts)


def test_the_skills_of_the_role_are_named_when_the_step_lists_none(project):
    head = "---\nname: tinker-executor\ndescription: Does it.\nskills: [house]\n---\nDo it.\n"
    project.write(".claude/agents/AGENT.md", head)
    project.write(".claude/skills/house/SKILL.md", "---\nname: house\ndescription: The rules.\n---\n# House\n")
    done = plan(project).run("--step", "1")
    assert done.code == 3, done
    assert "- house: The rules" in done.out
