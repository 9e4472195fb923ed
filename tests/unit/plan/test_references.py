"""References to parameters and metrics: what replaces them, and what is refused."""

import pytest

from executor.errors import UsageError
from executor.plan import params
from executor.plan.plan import read_plan, validate
from executor.plan.references import fill
from executor.plan.step_rules import settings_issues

DECLARED = params.declared(
    {
        "lr": {"type": "float", "default": 1e-4, "min": 0, "max": 1},
        "seed": 1,
        "fast": False,
        "name": "a b",
        "optimizer": {"choices": ["adam", "sgd"]},
    }
)


def look(values):
    return values.get


def filled(body, **values):
    return fill(body, look({f"params.{name}": value for name, value in values.items()}))


def issues_of(text):
    return [str(one) for one in validate(text.encode(), file="plan", read_script=lambda _: "--test")]


def plan_with(main, declared="{lr: 0.1, name: text}"):
    return f"settings: {{params: {declared}}}\nstep_1_a:\n  main: {main}\n"


def test_a_value_in_args_is_text():
    main = filled({"main": {"args": ["--lr=${params.lr}", "${params.fast}"]}}, lr=0.1, fast=True).body["main"]
    assert main["args"] == ["--lr=0.1", "true"]


def test_a_value_alone_where_a_number_belongs_is_a_number():
    check = filled({"pre_flight": [{"disk_free": {"min_gb": "${params.gb}"}}]}, gb=2).body["pre_flight"][0]
    assert check == {"disk_free": {"min_gb": 2}}


@pytest.mark.parametrize(
    "value", ["a b", "$(rm x)", "a;b", "`x`", "it's", 'say "x"', "*", "~", "", "a\\b", "a&b", "a|b"]
)
def test_a_value_that_a_shell_would_read_is_in_no_command(value):
    found = filled({"main": {"command": 'echo "${params.x}"'}}, x=value)
    assert found.body["main"]["command"] == 'echo "${params.x}"'
    assert found.unsafe == ("params.x",)


@pytest.mark.parametrize("key", ["command", "check", "alert", "monitor"])
def test_each_key_of_a_command_is_read_by_a_shell(key):
    assert filled({"background": [{key: "echo ${params.x}"}]}, x="$(id)").unsafe == ("params.x",)


def test_shell_variables_called_params_are_no_references():
    body = {"main": {"command": "for params in a b; do echo ${params} ${steps:-1}; done"}}
    assert fill(body, look({})).body == body


@pytest.mark.parametrize(
    ("main", "message"),
    [
        ("{command: 'echo ${params.lrr}', test: none}", "no such parameter in settings.params; did you mean lr"),
        ("{script: '${params.name}.py'}", "is not replaced in main.script"),
        ("{command: 'echo ${steps.7.metrics.acc}', test: none}", "step 7 is not defined"),
        ("{command: 'echo ${steps.7.acc}', test: none}", "write ${params.NAME} or ${steps.NUMBER.metrics.NAME}"),
        ("{command: 'echo', test: none, params: [lrr]}", "no such parameter in settings.params; did you mean lr"),
    ],
)
def test_a_reference_that_means_nothing_is_refused_at_its_place(main, message):
    (found,) = [one for one in issues_of(plan_with(main)) if "warning" not in one]
    assert message in found
    assert found.startswith("plan:3:")


def test_a_metric_of_a_step_that_need_not_run_before_is_a_warning():
    text = plan_with("{script: a.py}") + "step_2_b:\n  main: {script: a.py, args: ['${steps.1.metrics.acc}']}\n"
    assert [one for one in issues_of(text) if "add 1 to depends_on" in one]
    assert not [one for one in issues_of(f"{text}  depends_on: [1]\n") if "depends_on" in one]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"type": "float", "default": "abc"}, "must be a number, got 'abc': the type is float"),
        ({"type": "int", "default": 0.5}, "must be a whole number, got 0.5: the type is int"),
        ({"default": 5, "choices": [1, 2]}, "must be 1 or 2, got 5"),
        ({"default": 5, "max": 4}, "must be at most 4, got 5"),
        ({"type": "str", "min": 1}, "limits a number; the type is str"),
        ({"type": "int", "min": 2, "max": 1}, "is above max: 2, 1"),
        ({"help": "?"}, "has no type: write one of float, int, bool, str, or a default"),
        ({"type": "float", "default": float("inf")}, "must be a finite number, got inf"),
    ],
)
def test_a_parameter_that_contradicts_itself_is_refused(declared, message):
    assert [issue.message for issue in settings_issues({"params": {"x": declared}})] == [message]


def test_two_parameters_have_two_variables():
    (issue,) = settings_issues({"params": {"learning-rate": 1, "learning_rate": 2}})
    assert "DO_TASKS_PARAM_LEARNING_RATE" in issue.message


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("lr", "1e-3", 0.001), ("lr", "1", 1.0), ("seed", "-3", -3), ("fast", "YES", True), ("optimizer", "sgd", "sgd")],
)
def test_a_text_is_read_in_the_type_of_its_parameter(name, text, value):
    found = params.given(DECLARED, [("here", name, text)])
    assert found == {name: value}
    assert type(found[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("lr", "fast", "here: lr must be a number, got 'fast'"),
        ("lr", "nan", "here: lr must be a finite number, got nan"),
        ("lr", "2", "here: lr must be at most 1, got 2.0"),
        ("seed", "1.5", "here: seed must be a whole number, got '1.5'"),
        ("fast", "maybe", "here: fast must be true or false, got 'maybe'"),
        ("optimizer", "adm", "here: optimizer must be adam or sgd, got 'adm'; did you mean adam"),
        ("name", "a\nb", "here: name must be one line without control characters, got 'a\\nb'"),
        ("sed", "1", "here: no parameter 'sed' in settings.params; did you mean seed"),
        ("seed", None, "here: seed must be a whole number, got nothing"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(name, text, message):
    with pytest.raises(UsageError) as refused:
        params.given(DECLARED, [("here", name, text)])
    assert str(refused.value) == message


def test_the_type_of_a_plain_default_counts():
    assert {name: one.type for name, one in DECLARED.items()} == {
        "lr": "float",
        "seed": "int",
        "fast": "bool",
        "name": "str",
        "optimizer": "str",
    }


def test_a_plan_without_references_has_no_step_to_fill():
    assert read_plan(b"step_1_a:\n  main: {command: echo, test: none}\n", file="plan").referring == frozenset()
