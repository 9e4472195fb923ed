"""Which checks are told to prove nothing, and what to use instead."""

from __future__ import annotations

import json

import pytest

from executor.plan.lint.proof import lint_proof
from executor.plan.plan import validate


def warned(text: str, **scripts: str) -> list[str]:
    found = validate(text.encode(), file="plan.yaml", read_script=scripts.get)
    assert {problem.severity for problem in found} <= {"warning"}
    return [f"{problem.path}: {problem.message}" for problem in found]


def of_check(command: str, *, section: str = "pre_flight") -> list[str]:
    item = f"    - task: t\n      command: |-\n        {command}\n"
    return warned(f"step_1_a:\n  main: {{command: x, test: none}}\n  {section}:\n{item}")


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("echo $TINKER_API_KEY | head -c 10", "use env_set: TINKER_API_KEY"),
        ('echo "${HF_TOKEN}"', "use env_set: HF_TOKEN"),
        ("cat training_config.yaml | head -20", "use file: training_config.yaml"),
        ("ls -lht checkpoints/ | head -5", "use file: with min_count"),
        ("ps aux | grep train_student | head -1", "do-tasks --monitor"),
        ("df -h . | grep -E '^/'", "use disk_free: {path: ., min_gb: 10}"),
        ("true", "always passes"),
        ("exit 0", "always passes"),
        ("echo 'Step 1 complete' >> .task_log", "always passes"),
        ("pytest -q || true", "take the end off"),
        ("pytest -q ; exit 0", "take the end off"),
        ("find . -name '*.jsonl'", "use file: with min_count"),
        ("curl -I http://localhost:8000", "use url:, or curl --fail"),
        ("python -c 'import tinker; tinker.Client()'", "use tinker.ServiceClient()"),
    ],
)
@pytest.mark.parametrize("section", ["pre_flight", "post_validation"])
def test_a_check_that_cannot_fail_names_the_cure(command: str, instead: str, section: str) -> None:
    [warning] = of_check(command, section=section)
    assert warning.startswith(f"step_1_a.{section}[0].command: ")
    assert instead in warning


@pytest.mark.parametrize(
    "command",
    [
        *("ls -lh train.jsonl val.jsonl", "python -c 'import tinker'", "test -s a", "grep -q ok log | cat", "wc -l x"),
        *(
            "echo $X | grep -q on",
            "curl -fsS http://localhost",
            "curl --fail x",
            "find . -name a | grep -q .",
            "cat a b",
        ),
        *("ps aux | grep '[t]rain'", "head -1 x", "echo done && test -f x", "tail -1 x", "tinker.ClientX()"),
    ],
)
def test_a_check_that_can_fail_passes(command: str) -> None:
    assert of_check(command) == []


@pytest.mark.parametrize(
    ("item", "instead"),
    [
        ("{task: t, command: tail -n 1 training_logs/loss.txt}", "use metrics: training_logs/loss.txt"),
        ("{check: tail -1 generation.log}", "log: generation.log"),
        ("{task: t, command: ls -lht checkpoints/ | head -5}", "use checkpoints: with a glob"),
        ("{monitor: ps aux | grep train_student}", "the job itself is watched"),
        ('{task: t, command: x, alert_on: "error|failed|nan"}', "rules: [nan]"),
        ('{task: t, command: x, alert_on: "INF"}', "'finance' or 'info'"),
    ],
)
def test_a_monitor_that_cannot_see_names_the_cure(item: str, instead: str) -> None:
    [warning] = warned(
        f"step_1_a:\n  main: {{command: x, test: none, mode: background}}\n  background:\n    - {item}\n"
    )
    assert instead in warning


CAN_SEE = ['{task: t, command: x, alert_on: "error|\\\\bnan\\\\b"}', "{monitor: wc -l x}", "{alert: grep ERROR x}"]


@pytest.mark.parametrize("item", CAN_SEE)
def test_a_monitor_that_can_see_passes(item: str) -> None:
    assert (
        warned(f"step_1_a:\n  main: {{command: x, test: none, mode: background}}\n  background:\n    - {item}\n") == []
    )


def test_criteria_and_quality_checks_are_read_too() -> None:
    main = "main: {script: a, mode: chunked, chunks: [{size: 1}], rows: 'r{chunk}', quality_check: [{command: 'true'}],"
    text = f"step_1_a:\n  {main} success_criteria: [{{criterion: c, command: 'true'}}]}}\n"
    assert [line.split(":")[0] for line in warned(text, a="--test")] == [
        *("step_1_a.main.quality_check[0].command", "step_1_a.main.success_criteria[0].command")
    ]


def test_a_limit_above_30_s_is_told() -> None:
    checks = "[{command: x, timeout: 31}, {command: x, timeout: 30}]"
    assert warned(f"step_1_a:\n  main: {{command: x, test: none}}\n  pre_flight: {checks}\n") == [
        "step_1_a.pre_flight[0].timeout: 31 is cut to 30 s: what takes longer belongs in main"
    ]


def test_prose_is_not_runnable() -> None:
    [warning] = warned("step_1_a:\n  main: {command: x, test: none}\n  pre_flight: [{explore: Look around}]\n")
    assert warning.startswith("step_1_a.pre_flight[0]: not runnable")


@pytest.mark.parametrize("body", ["", " {main: {}}", " {main: {mode: chunked, chunks: [{size: 1}]}}", " {title: x}"])
def test_a_step_with_nothing_to_run_is_told(body: str) -> None:
    [warning] = warned(f"step_1_a:{body}\n")
    assert "nothing to run: give main a script, a command or an agent" in warning


def test_a_command_without_a_test_form_is_told() -> None:
    [warning] = warned("step_1_a: {main: {command: x}}\n")
    assert "has no test form" in warning


def test_a_missing_script_is_told() -> None:
    assert warned("step_1_a: {main: {script: 06_train.py}}\n") == [
        "step_1_a.main.script: script 06_train.py not found; looked at the root and in scripts/"
    ]


def test_a_script_that_knows_no_test_is_told() -> None:
    [warning] = warned("step_1_a: {main: {script: a}}\n", a="print(1)")
    assert "a names neither --test nor DO_TASKS_TEST" in warning


@pytest.mark.parametrize(
    ("test", "text"),
    [
        *[("", "--test"), ("", "DO_TASKS_TEST"), (", test: none", ""), (", test: {args: [-n]}", "")],
    ],
)
def test_a_script_with_a_test_form_passes(test: str, text: str) -> None:
    assert warned(f"step_1_a: {{main: {{script: a{test}}}}}\n", a=text) == []


def test_a_script_that_calls_what_does_not_exist_is_told() -> None:
    [warning] = warned("step_1_a: {main: {script: a, test: none}}\n", a="c = tinker.Client()")
    assert "a: the SDK has no tinker.Client: use tinker.ServiceClient()" in warning


def test_a_step_that_waits_for_a_later_one_is_told() -> None:
    step = "main: {command: x, test: none}"
    [warning] = warned(f"step_1_a: {{{step}, depends_on: [2]}}\nstep_2_b: {{{step}}}\n")
    assert "step 2 comes after step 1" in warning


def test_braces_in_a_command_break_no_message() -> None:
    assert "use file: {0}{x}" in of_check("cat {0}{x} | head")[0]


# What nothing but an exit code proves


def noted(main, **more):
    """The notes of a plan of one step, as `validate` gives them to whoever asks."""
    body = json.dumps({"step_1_one": {"main": main, **more}}).encode()
    found = validate(body, file="plan", read_script=lambda _: "--test", doubts=lint_proof)
    return [problem.message for problem in found if problem.severity == "note"]


@pytest.mark.parametrize(
    ("main", "more", "says"),
    [
        ({"script": "a.py"}, {}, "an exit code"),
        ({"script": "a.py", "success_criteria": ["It is good"]}, {}, "an exit code"),
        ({"agent": "a", "objective": "o"}, {}, "the agent's word"),
        ({"script": "a.py"}, {"post_validation": [{"explore": "look around"}]}, "an exit code"),
    ],
    ids=["script", "prose", "agent", "a check that cannot run"],
)
def test_a_step_that_nothing_but_a_word_proves_is_noted(main, more, says):
    (said,) = noted(main, **more)
    assert f"nothing but {says} proves this step" in said


@pytest.mark.parametrize(
    ("main", "more"),
    [
        ({"script": "a.py", "success_criteria": [{"criterion": "There", "file": "x"}]}, {}),
        ({"script": "a.py"}, {"post_validation": [{"task": "t", "command": "test -s x"}]}),
        ({"script": "a.py"}, {"post_validation": [{"task": "t", "port": 80}]}),
    ],
    ids=["criterion", "check", "built in"],
)
def test_a_step_with_a_check_or_a_bound_criterion_is_not_noted(main, more):
    assert noted(main, **more) == []
