"""A file becomes a plan, or every problem in it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import DefinitionError
from executor.monitoring.model import Notifier
from executor.plan.model import GIB, Check, Criterion, Edge, Retry, Settings, TestForm
from executor.plan.plan import from_cache, read_plan, to_cache, validate

A_SPAN = "must be a time such as 90, 90s, 10m or 1h30m, above 0 and at most 365d"

ROOT = Path(__file__).parents[3]
FOUNDING = ROOT / "tests" / "fixtures" / "founding"


def plan_of(text: str):
    return read_plan(text.encode(), file="plan.yaml")


def step_of(body: str, *, number: int = 1):
    return plan_of(f"step_{number}_a:\n{body}").step(number)


def main_of(body: str):
    return step_of(f"  main: {{{body}}}").main


def check_of(body: str) -> Check:
    return step_of(f"  pre_flight:\n    - {{{body}}}").pre_flight[0]


def criterion_of(body: str) -> Criterion:
    return main_of(f"command: x, success_criteria: [{body}]").criteria[0]


def refused(text: str) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        plan_of(text)
    return [str(problem) for problem in caught.value.problems]


def step_refused(body: str) -> str:
    with pytest.raises(DefinitionError) as caught:
        step_of(body)
    return str(caught.value)


def problems(text: str, **scripts: str) -> list[str]:
    return [str(problem) for problem in validate(text.encode(), file="plan.yaml", read_script=scripts.get)]


def founding(name: str):
    return read_plan((FOUNDING / name).read_bytes(), file=name)


# The founding document


def test_founding_steps_1_and_13_load_unchanged() -> None:
    plan = founding("steps_1_and_13.yaml")
    assert plan.numbers == (1, 13)
    assert [plan.title(number) for number in plan.numbers] == ["Setup api", "Training"]


def test_founding_step_1_keeps_its_words() -> None:
    step = founding("steps_1_and_13.yaml").step(1)
    assert [check.name for check in step.pre_flight] == ["verify_env", "check_python", "test_imports"]
    assert step.pre_flight[0] == Check("verify_env", "command", "echo $TINKER_API_KEY | head -c 10", limit_s=5.0)
    assert (step.main.agent, step.main.skills, step.main.script) == (
        "tinker-executor",
        ("tinker-api",),
        "01_test_auth.py",
    )
    assert step.main.criteria == (Criterion("API key validated"), Criterion("Authentication successful"))
    assert step.main.limit_s == 300
    assert len(step.post_validation) == 2


def test_founding_step_13_is_a_job_with_three_monitors() -> None:
    step = founding("steps_1_and_13.yaml").step(13)
    assert (step.main.mode, step.main.script) == ("background", "06_train_student_model.py")
    assert [(monitor.name, monitor.interval_s) for monitor in step.background] == [
        *(("monitor_loss", 60), ("watch_checkpoints", 120), ("check_memory", 180))
    ]


def test_founding_step_8_loads_with_nothing_to_run() -> None:
    step = founding("step_8.yaml").step(8)
    assert step.main is None
    assert [check.kind for check in step.pre_flight] == ["prose"] * 3
    assert [(monitor.name, monitor.interval_s) for monitor in step.background] == [
        *(("wc -l teacher_data_*.jsonl", 60), ("tail -1 generation.log", 60), ("grep ERROR generation.log", 60))
    ]


@pytest.mark.parametrize("name", ["steps_1_and_13.yaml", "step_8.yaml"])
def test_founding_definitions_have_warnings_but_no_errors(name: str) -> None:
    found = validate((FOUNDING / name).read_bytes(), file=name, read_script=lambda _: None)
    assert {problem.severity for problem in found} == {"warning"}


# Structure


def test_gaps_between_numbers_are_allowed() -> None:
    assert plan_of("step_0_a:\nstep_7_b-c: {}\nstep_999999_D:").numbers == (0, 7, 999_999)


@pytest.mark.parametrize("text", ["", "# nothing\n", "x-only: 1\n", "settings: {version: 1}\n"])
def test_a_file_without_steps_is_an_empty_plan(text: str) -> None:
    assert plan_of(text).numbers == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "plan.yaml:1:1: must be a mapping of steps, got a list"),
        ("step_1_a: 5\n", "plan.yaml:1:1: step_1_a: must be a mapping, got 5"),
        ("step_1_a:\n  main: []\n", "plan.yaml:2:3: step_1_a.main: must be a mapping, got a list"),
        ("step_1_a:\n  pre_flight: x\n", "plan.yaml:2:3: step_1_a.pre_flight: must be a list, got 'x'"),
        ("step_1_a:\n  titel: x\n", "plan.yaml:2:3: step_1_a.titel: unknown key 'titel'; did you mean title"),
        ("setings: {}\n", "plan.yaml:1:1: setings: unknown key 'setings'; did you mean settings"),
        ("settings: {strict: yes}\n", "plan.yaml:1:12: settings.strict: must be true or false, got 'yes'; write true"),
        (
            "settings: {max_parallel: 0}\n",
            "plan.yaml:1:12: settings.max_parallel: must be at least 1, got 0",
        ),
        (
            "step_01_a:\n",
            (
                "plan.yaml:1:1: step_01_a: unknown key 'step_01_a'; known: settings,"
                " step_<number>_<name> such as step_3_train (no zero in front), x-<name>"
            ),
        ),
        (
            "step_2_a:\nstep_1_b:\n",
            "plan.yaml:2:1: step_1_b: step 1 stands after step 2: put the steps in ascending order",
        ),
        (
            "step_1_a:\nstep_1_b:\n",
            "plan.yaml:2:1: step_1_b: number 1 is used twice, first by step_1_a: number it anew",
        ),
        (
            "step_1_a: {depends_on: [19]}\nstep_18_b:\n",
            "plan.yaml:1:25: step_1_a.depends_on[0]: step 19 is not defined; nearest: 18",
        ),
        (
            "step_1_a: {depends_on: [1]}\n",
            "plan.yaml:1:12: step_1_a.depends_on: depends_on goes in a circle, 1 -> 1: take one of them out",
        ),
        (
            "step_1_a: {depends_on: [x]}\n",
            "plan.yaml:1:25: step_1_a.depends_on[0]: step x is not defined",
        ),
        (
            "step_1_a:\nstep_2_b: {depends_on: [{step: 1, until: strated}]}\n",
            (
                "plan.yaml:2:35: step_2_b.depends_on[0].until: must be started or first_checkpoint or finished,"
                " got 'strated'; did you mean started"
            ),
        ),
    ],
)
def test_wrong_structure_is_told_with_its_place(text: str, message: str) -> None:
    assert refused(text) == [message]


def test_a_circle_names_its_steps() -> None:
    text = "step_1_a: {depends_on: [3]}\nstep_2_b: {depends_on: [1]}\nstep_3_c: {depends_on: [2]}\n"
    assert "depends_on goes in a circle, 1 -> 3 -> 2 -> 1" in refused(text)[0]


def test_a_circle_off_the_way_is_found() -> None:
    text = "step_1_a: {depends_on: [2]}\nstep_2_b: {depends_on: [3]}\nstep_3_c: {depends_on: [2]}\n"
    assert "2 -> 3 -> 2" in refused(text)[0]


def test_two_ways_to_one_step_are_no_circle() -> None:
    text = "step_1_a:\nstep_2_b: {depends_on: [1]}\nstep_3_c: {depends_on: [1]}\nstep_4_d: {depends_on: [2, 3, 1]}\n"
    assert len(plan_of(text).numbers) == 4


def test_a_long_chain_of_dependencies_is_walked() -> None:
    chain = "".join(f"step_{n}_s: {{depends_on: [{n + 1}]}}\n" for n in range(3_000))
    assert len(plan_of(f"{chain}step_3000_s:\n").numbers) == 3_001


def test_all_structural_problems_come_at_once_in_order() -> None:
    text = "setings:\nstep_2_a: {depends_on: [9], mian: {}}\nstep_1_b: 5\nsettings: {version: 2}\n"
    assert [line.split(" ")[0] for line in refused(text)] == [
        *(f"plan.yaml:{place}:" for place in ("1:1", "2:25", "2:29", "3:1", "3:1", "4:12"))
    ]


@pytest.mark.parametrize("mode", ["background", "chunked"])
def test_an_agent_alone_is_no_job(mode: str) -> None:
    assert (
        "an agent never is the job: give it a script or a command"
        in refused(f"step_1_a:\n  main: {{agent: x, mode: {mode}}}\n")[0]
    )


def test_an_agent_alone_may_do_a_normal_main() -> None:
    assert main_of("agent: x, objective: y").agent == "x"


def test_first_checkpoint_needs_a_checkpoint() -> None:
    job = "step_1_a: {main: {script: a, mode: background}}\n"
    [said] = refused(f"{job}step_2_b: {{depends_on: [{{step: 1, until: first_checkpoint}}]}}\n")
    assert "step 1 names no checkpoint" in said


@pytest.mark.parametrize(
    "first",
    [
        "{main: {script: a, mode: background, success_criteria: [{criterion: saved, file: ck/*.pt}]}}",
        "{main: {script: a, mode: background}, background: [{task: c, checkpoints: ck/*}]}",
    ],
)
def test_a_bound_file_or_a_monitor_names_a_checkpoint(first: str) -> None:
    plan = plan_of(f"step_1_a: {first}\nstep_2_b: {{depends_on: [{{step: 1, until: first_checkpoint}}]}}\n")
    assert plan.step(2).depends_on == (Edge(1, "first_checkpoint"),)


# Steps


def test_the_key_on_stays_a_key() -> None:
    assert main_of("command: x, retry: {attempts: 3, on: [oom]}").retry == Retry(3, ("oom",))


def test_retry_without_on_keeps_the_defaults() -> None:
    assert main_of("command: x, retry: {attempts: 3}").retry == Retry(3)


@pytest.mark.parametrize(
    ("body", "sample"),
    [
        ("script: a", TestForm()),
        ("script: a, test: none", TestForm("none")),
        ("script: a, test: {timeout: 5}", TestForm(limit_s=5.0)),
        ('script: a, test: {args: [--limit, "2"], timeout: 5}', TestForm("args", args=("--limit", "2"), limit_s=5.0)),
        ("script: a, test: {args: []}", TestForm("args")),
        ("command: a, test: {command: b}", TestForm("command", command="b")),
    ],
)
def test_test_forms(body: str, sample: TestForm) -> None:
    assert main_of(body).sample == sample


@pytest.mark.parametrize(
    ("body", "kind", "asks"),
    [
        ("command: ls", "command", "ls"),
        ("env_set: KEY", "env_set", "KEY"),
        ("python_import: [a, b]", "python_import", ["a", "b"]),
        ("file: {path: x, min_count: 2}", "file", {"path": "x", "min_count": 2}),
        ("disk_free: 5", "disk_free", 5),
        ("gpu_free: true", "gpu_free", True),
        ("port: 80", "port", 80),
        ("url: 'http://a'", "url", "http://a"),
        ("call: pkg.mod.func", "call", "pkg.mod.func"),
        ("explore: look around", "prose", "look around"),
        ("verify: the model answers, command: ./ask.sh", "command", "./ask.sh"),
    ],
)
def test_a_check_asks_one_question(body: str, kind: str, asks: object) -> None:
    check = check_of(body)
    assert (check.kind, check.asks) == (kind, asks)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("task: t, command: ls", "t"),
        ("command: 'ls  -l'", "command ls -l"),
        ("file: {path: x}", "file"),
        ("verify: prose, command: ls", "prose"),
    ],
)
def test_a_check_has_a_name(body: str, name: str) -> None:
    assert check_of(body).name == name


@pytest.mark.parametrize(("written", "limit_s"), [("timeout: 5, ", 5.0), ("timeout: 31, ", 30.0), ("", 30.0)])
def test_a_check_ends_after_30_s(written: str, limit_s: float) -> None:
    assert check_of(f"{written}command: x").limit_s == limit_s


def test_a_check_keeps_its_switches() -> None:
    check = check_of("command: x, parallel: false, when: start, env: [HF_TOKEN]")
    assert (check.parallel, check.when, check.env) == (False, "start", ("HF_TOKEN",))


@pytest.mark.parametrize(
    ("body", "criterion"),
    [
        ("in words", Criterion("in words")),
        ("{criterion: a}", Criterion("a")),
        ("{criterion: a, file: 'ck/*'}", Criterion("a", "file", "ck/*")),
        ("{criterion: a, file: {path: x, min_size: 1}}", Criterion("a", "file", {"path": "x", "min_size": 1})),
        ("{criterion: a, command: ls}", Criterion("a", "command", "ls")),
        (
            "{criterion: a, matches: {file: x, pattern: '^ok'}}",
            Criterion("a", "matches", {"file": "x", "pattern": "^ok"}),
        ),
        ("{criterion: a, metric: {name: loss, below: 2}}", Criterion("a", "metric", {"name": "loss", "below": 2})),
        ("{criterion: a, result: true, any_age: true}", Criterion("a", "result", asks=True, any_age=True)),
        ("{criterion: a, result: b}", Criterion("a", "result", "b")),
    ],
)
def test_a_criterion_is_prose_or_bound(body: str, criterion: Criterion) -> None:
    assert criterion_of(body) == criterion


@pytest.mark.parametrize(
    ("written", "size"),
    [
        *[("100MB", 100_000_000), ("1GiB", GIB), ("2k", 2048), ("1.5 MB", 1_500_000), ("12", 12), ("12B", 12)],
    ],
)
def test_max_output_takes_sizes(written: str, size: int) -> None:
    assert main_of(f"command: x, max_output: '{written}'").max_output == size


def test_max_output_of_the_settings_is_the_default_of_every_main() -> None:
    steps = "step_1_a: {main: {command: x}}\nstep_2_b: {main: {command: x, max_output: 5}}\n"
    plan = plan_of(f"settings: {{max_output: 1MB}}\n{steps}")
    assert [plan.step(number).main.max_output for number in plan.numbers] == [1_000_000, 5]


def test_arguments_keep_their_spelling() -> None:
    assert main_of("script: a, args: [--n, 5, 007, '1.10', -1]").args == ("--n", "5", "007", "1.10", "-1")


def test_chunks_are_sizes() -> None:
    more = "checkpoint_every: 5, quality_check: [{command: x}]"
    main = main_of(f"script: a, mode: chunked, chunks: [{{size: 1}}, {{size: 9}}], rows: 'a{{chunk}}', {more}")
    assert (main.chunks, main.rows, main.checkpoint_every, main.quality_check[0].asks) == ((1, 9), "a{chunk}", 5, "x")


def test_skills_tell_absent_from_none() -> None:
    assert (main_of("agent: a").skills, main_of("agent: a, skills: []").skills) == (None, ())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("  main: {script: a, command: b}", "step_1_a.main.command: stands beside script: keep one of the two"),
        ("  main: {script: 5}", "step_1_a.main.script: must be text, got 5"),
        ("  main: {command: ''}", "step_1_a.main.command: must not be empty"),
        (
            "  main: {script: a, args: [1.50]}",
            "step_1_a.main.args[0]: must be text or a whole number (quote a number with a point), got 1.5",
        ),
        (
            "  main: {script: a, timeout: 0}",
            f"step_1_a.main.timeout: {A_SPAN}, got 0",
        ),
        (
            "  main: {script: a, timeout: true}",
            f"step_1_a.main.timeout: {A_SPAN}, got true",
        ),
        ("  main: {script: a, mode: chunked}", "step_1_a.main.mode: needs chunks"),
        ("  main: {script: a, chunks: [{size: 1}]}", "step_1_a.main.chunks: needs mode: chunked"),
        ("  main: {script: a, test: {args: [], command: x}}", "step_1_a.main.test: has args and a command"),
        ("  main: {script: a, success_criteria: [{file: x}]}", "step_1_a.main.success_criteria[0]: needs criterion"),
        (
            "  main: {script: a, success_criteria: [{criterion: x, file: a, command: b}]}",
            "step_1_a.main.success_criteria[0]: is bound to 2 checks: file, command",
        ),
        (
            "  main: {script: a, success_criteria: [{criterion: x, matches: {file: a, pattern: '('}}]}",
            "step_1_a.main.success_criteria[0].matches.pattern: is no regular expression",
        ),
        ("  pre_flight: [{task: x}]", "step_1_a.pre_flight[0]: asks nothing"),
        ("  pre_flight: [ls]", "step_1_a.pre_flight[0]: must be a mapping, got 'ls'"),
        ("  pre_flight: [{command: a, file: b}]", "step_1_a.pre_flight[0]: asks 2 questions: command, file"),
        ("  background: [{task: a}]", "step_1_a.background[0]: needs one of command"),
        (
            "  background: [{task: a, command: a, alert_on: '*'}]",
            "step_1_a.background[0].alert_on: alert_on is no regular expression",
        ),
    ],
)
def test_a_step_that_cannot_be_built_says_why(body: str, message: str) -> None:
    assert message in step_refused(body)


def test_a_title_is_what_is_written_else_the_words_of_the_key() -> None:
    plan = plan_of("step_3_a_b:\nstep_4_c: {title: Four}\n")
    assert [plan.title(3), plan.title(4)] == ["A b", "Four"]


def test_an_unknown_step_names_the_nearest() -> None:
    with pytest.raises(DefinitionError, match="step 19 is not defined; nearest: 18"):
        plan_of("step_1_a:\nstep_18_b:\n").step(19)


# Settings, cache


def test_settings_are_read() -> None:
    written = "strict: true, env: [], protect: [a], python: py, max_parallel: 5, notify: ['env:X'], runner: host"
    plan = plan_of(f"settings: {{{written}}}\n")
    assert plan.settings == Settings(
        strict=True,
        env=(),
        protect=("a",),
        python="py",
        max_parallel=5,
        notify=(Notifier("env", "X"),),
        runner="host",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "step_1_a: {title: T, main: {command: x}}\nstep_9_b:\n",
        "settings: {strict: true, env: [A], protect: [a], max_output: 5MB, judge: {rounds: 2}}\nstep_1_a:\n",
        "settings: {notify: [json://a, {command: b, on: [died], env: [K]}]}\nstep_1_a:\n",
    ],
)
def test_a_plan_survives_the_cache(text: str) -> None:
    assert from_cache(json.loads(json.dumps(to_cache(plan_of(text))))) == plan_of(text)


@pytest.mark.parametrize(
    "kept",
    [{}, {"file": "x", "settings": 5, "steps": []}, {"file": "x", "settings": None, "steps": [1]}],
)
def test_a_foreign_cache_is_told_by_an_error(kept: dict) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_cache(kept)


@pytest.mark.parametrize("body", [5, {"main": 5}, {"main": {"command": "x", "args": 5}}, {"pre_flight": [{}]}])
def test_a_step_that_was_stored_damaged_names_the_way_out(body: object) -> None:
    plan = from_cache({"file": "x", "settings": {}, "steps": [[1, "a", body]]})
    with pytest.raises(DefinitionError, match=r"step 1 was stored damaged .*: remove .do-tasks/cache"):
        plan.step(1)


# validate


def test_validate_says_nothing_of_a_good_plan() -> None:
    text = "step_1_a:\n  pre_flight: [{env_set: K}]\n  main: {script: a.py}\n"
    assert problems(text, **{"a.py": "parser.add_argument('--test')"}) == []


def test_validate_looks_inside_a_step_that_stands_in_the_wrong_place() -> None:
    text = "step_2_b: {main: {command: x, test: none}}\nstep_1_a: {main: {script: gone.py}}\n"
    assert [line.split(": ", 1)[1] for line in problems(text)] == [
        "step_1_a: step 1 stands after step 2: put the steps in ascending order",
        "warning: step_1_a.main.script: script gone.py not found; looked at the root and in scripts/",
    ]


def test_validate_tells_errors_of_form_structure_and_steps_at_once() -> None:
    two = "step_2_b: {depends_on: [9], main: {command: x, test: none}}"
    text = f"step_1_a: {{main: {{scirpt: x}}}}\n{two}\nstep_3_c: {{pre_flight: [{{task: x}}]}}\n"
    assert [line.split(": ")[1] for line in problems(text)] == [
        *("step_1_a.main.scirpt", "step_2_b.depends_on[0]", "step_3_c.pre_flight[0]")
    ]


def test_validate_tells_each_problem_once() -> None:
    assert len(problems("step_1_a: {titel: x, depends_on: [x], main: []}\nsetings:\n")) == 4


def test_validate_tells_yaml_trouble_alone() -> None:
    assert problems("a: [") != []
    assert all("not YAML" in line for line in problems("a: ["))


def test_validate_places_what_a_merge_brought_at_the_mapping() -> None:
    assert problems("x-d: &d {titel: x}\nstep_1_a:\n  <<: *d\n")[0].startswith("plan.yaml:2:1: step_1_a.titel: ")


def test_a_mapping_under_an_extension_key_is_no_step_whatever_it_has() -> None:
    assert plan_of("x-a: {id: 'T1', depends_on: 7}\nstep_1_a:\n").numbers == (1,)


def test_validate_warns_of_a_plan_without_steps() -> None:
    assert problems("") == ["plan.yaml:1:1: warning: no step is defined: add one, for example step_1_hello:"]


@given(st.lists(st.integers(0, 40), unique=True, min_size=1, max_size=12))
def test_numbers_come_back_as_written_when_they_ascend(numbers: list[int]) -> None:
    text = "".join(f"step_{number}_s:\n" for number in numbers)
    if numbers == sorted(numbers):
        assert plan_of(text).numbers == tuple(numbers)
    else:
        assert "ascending" in refused(text)[0]


def test_no_message_leaves_its_line() -> None:
    text = "step_1_a: {main: {script: 'a\tb\u2028'}}\n\"step_\\tx\": 1\n"
    assert [line for line in problems(text) if not line.isprintable()] == []


def test_a_cached_plan_loads_no_parser() -> None:
    heavy = {"yaml", "jsonschema", "difflib", "typing", "executor.plan.yaml_loader", "executor.plan.lint"}
    code = f"import sys, executor.plan.plan, executor.plan.selection; print({heavy} & {{*sys.modules}})"
    run = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
