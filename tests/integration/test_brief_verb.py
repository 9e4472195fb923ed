"""`do-tasks brief`: a step, the results that it builds on, the files of its context, within a budget."""

from __future__ import annotations

import json

import pytest

from executor.testing import ScriptedServer
from tests.integration.projects import Project

SECRET = "hunter2-hunter2-9"
WRITES = """printf '{"metrics": {"acc": 0.75}, "note": "short run"}' > "$DO_TASKS_RESULT"; echo 1 > model.bin """


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path / "project")
    made.environ = {"SERVICE_API_KEY": SECRET}
    made.write("notes/data.md", f"The data is small. The key was {SECRET}.\n")
    made.write("notes/long.md", "A long story.\n" * 900)
    made.write(".env", "PASSWORD=never-shown-1\n")
    made.write("style.md", "Write plainly.\n")
    main = {"command": "echo ${steps.1.metrics.acc} ${params.lr}", "test": "none", "success_criteria": ["It is better"]}
    context = ["notes", ".env", "../elsewhere.md", "gone.md"]
    return made.plan(
        settings={"context": ["style.md"], "params": {"lr": 0.5}, "model": "claude-test-1"},
        s1={"main": {"command": WRITES, "test": "none", "outputs": ["model.bin"]}},
        s2={"depends_on": [1], "context": context, "main": main},
    )


def test_a_brief_has_step_results_and_context_within_the_budget(project):
    assert project.run("--step", "1").code == 0
    done = project.run("brief", "2", "--budget", "600")
    assert done.code == 0, done
    assert len(done.out) <= 2400
    for words in ("echo 0.75 0.5", "It is better", "- lr = 0.5", "- acc = 0.75", "Note: short run", "- file model.bin"):
        assert words in done.out
    assert "The data is small. The key was ***." in done.out
    assert "Write plainly." in done.out
    left = done.out.partition("## Left out (budget: 600 tokens)")[2]
    assert "- notes/long.md: 3,15" in left
    assert "- .env: a file of secrets" in left
    assert "- gone.md: no file here" in left
    assert SECRET not in done.out
    assert "never-shown" not in done.out


def test_a_small_budget_holds_for_the_whole_text(project):
    body = project.run("brief", "2", "--budget", "40", "--json").json
    assert body["tokens"] <= 40
    assert len(body["text"]) <= 160
    assert body["counted_by"] == "characters / 4"
    assert "style.md" in {one["name"] for one in body["left_out"]}


def test_the_counter_of_the_model_counts_where_there_is_one(project):
    with ScriptedServer([]) as server:
        project.environ = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "none"}
        body = project.run("brief", "2", "--budget", "600", "--json").json
    assert body["counted_by"] == "claude-test-1"
    assert 0 < body["tokens"] <= 600


def test_a_brief_of_a_step_that_waits_for_another_says_so(project):
    text = json.dumps(project.run("brief", "2", "--json").json)
    assert "It has not passed." in text
