"""An invalid plan is refused in the same words by `validate`, by a run and by a read command."""

from __future__ import annotations

import pytest

from tests.integration.projects import Project

JOB = "main: {command: ./train, test: none, mode: background}"
INVALID = {
    "not YAML": "step_1_a: [\n",
    "a tab": "step_1_a:\n\tmain: x\n",
    "a list": "- step_1_a\n",
    "text": "hello\n",
    "an unknown key": "step_1_a: {main: {comand: x}}\n",
    "an unknown top key": "stepp_1_a: {}\nstep_1_a:\n",
    "a null": "step_1_a: {main: {command: }}\n",
    "a number for a text": "step_1_a: {main: {command: 5}}\n",
    "a step that is a list": "step_1_a: [x]\n",
    "a number twice": "step_1_a:\nstep_1_b:\n",
    "the wrong order": "step_2_a:\nstep_1_b:\n",
    "an unknown dependency": "step_1_a: {depends_on: [7], main: {command: x}}\n",
    "a circle": "step_1_a: {depends_on: [2]}\nstep_2_b: {depends_on: [1]}\n",
    "a start of no job": "step_1_a:\nstep_2_b: {depends_on: [{step: 1, until: started}]}\n",
    "two ways to do it": "step_1_a: {main: {script: a, command: b}}\n",
    "two questions": "step_1_a: {pre_flight: [{command: a, file: b}]}\n",
    "no question": "step_1_a: {post_validation: [{task: a}]}\n",
    "a time of no length": "step_1_a: {main: {command: x, timeout: 0s}}\n",
    "a time of years": "step_1_a: {pre_flight: [{command: x, timeout: 9999d}]}\n",
    "chunks alone": "step_1_a: {main: {command: x, chunks: [{size: 1}]}}\n",
    "an agent as a job": "step_1_a: {main: {agent: a, mode: background}}\n",
    "a bad pattern": (
        "step_1_a: {main: {command: x, success_criteria: [{criterion: a, matches: {file: a, pattern: '('}}]}}\n"
    ),
    "two monitors of a name": f"step_1_a: {{{JOB}, background: [{{task: a, gpu: 0}}, {{task: a, gpu: 1}}]}}\n",
    "a rule that does not fit": f"step_1_a: {{{JOB}, background: [{{disk: ., rules: [nan]}}]}}\n",
    "a blind restart": (
        f"step_1_a: {{{JOB}, background: [{{gpu: 0, on_alert: {{restart: {{from: latest_checkpoint}}}}}}]}}\n"
    ),
    "wrong settings": "settings: {max_parallel: 0, notify: me}\nstep_1_a: {main: {command: x}}\n",
    "a notifier of two kinds": "settings: {notify: {url: a://b, env: A}}\nstep_1_a:\n",
    "several at once": "settings: {verion: 1}\nstep_1_a: {titel: x, main: []}\nstep_1_b: {depends_on: [4]}\n",
}


def lines_of(text: str) -> list[str]:
    return [
        line[line.index("step_definitions.yaml") :] for line in text.splitlines() if "step_definitions.yaml" in line
    ]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("invalid"))


@pytest.mark.parametrize("text", INVALID.values(), ids=[*INVALID])
def test_an_invalid_plan_gets_the_same_words_from_every_command(project: Project, text: str) -> None:
    project.write("SPEC.md", "- [ ] **STEP 1**: A\n- [ ] **STEP 2**: B\n")
    project.write("step_definitions.yaml", text)
    told = project.run("validate")
    errors = [line for line in lines_of(told.out) if ": warning: " not in line and ": note: " not in line]
    assert errors
    for words in (("--step", "1"), ("list",)):
        ran = project.run(*words)
        assert (ran.code, told.code) == (2, 2)
        assert lines_of(ran.err) == errors
        assert "Traceback" not in ran.err + ran.out
    assert not project.has(".task_execution.log")
