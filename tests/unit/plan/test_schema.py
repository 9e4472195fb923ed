"""What the JSON Schema refuses, and in which words."""

from __future__ import annotations

import json
import string

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.monitoring.model import Action, Monitor, Notifier
from executor.plan import build, build_monitors, limits
from executor.plan.issues import problem_of
from executor.plan.model import Check, Criterion, Edge, Main, Retry, Settings, TestForm
from executor.plan.plan_rules import STEP_KEY
from executor.plan.schema import departures, plan_schema, schema_issues
from executor.system.quantities import SIZE_HINT, SIZE_PATTERN, TIME_HINT, TIME_PATTERN

A_SPAN = "must be a time such as 90, 90s, 10m or 1h30m, above 0 and at most 365d"

STEP = "step_1_a"


def told(body: object, *, key: str = STEP) -> list[str]:
    problems = [problem_of(issue, "plan.yaml") for issue in schema_issues({key: body})]
    return [f"{problem.path}: {problem.message}" for problem in problems]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(plan_schema())


def test_a_full_step_is_well_formed() -> None:
    assert (
        told(
            {
                "title": "Train",
                "depends_on": [10, {"step": 8, "until": "finished"}],
                "pre_flight": [
                    {"task": "data", "command": "ls -lh train.jsonl", "timeout": 5, "parallel": True},
                    {"task": "key", "env_set": "TINKER_API_KEY", "env": ["TINKER_API_KEY"]},
                    {"python_import": ["torch>=2", {"module": "tinker", "version": ">=0.1"}]},
                    {
                        "file": {
                            "path": "*.jsonl",
                            "min_size": "10KB",
                            "min_count": 2,
                            "newer_than": "x",
                            "dir_ok": True,
                        }
                    },
                    *[{"disk_free": 5}, {"disk_free": {"path": ".", "min_gb": 5}}, {"gpu_free": True}, {"port": 80}],
                    *[{"gpu_free": {"min_gb": 4, "count": 2, "max_utilization": 10}}, {"url": "http://localhost"}],
                    *[{"port": {"host": "a", "port": 1, "state": "free"}}, {"url": {"url": "http://a", "status": 204}}],
                    *[{"call": "pkg.mod.func"}, {"call": {"target": "pkg.mod:func", "args": {"n": 1}}}],
                ],
                "main": {
                    "agent": "tinker-executor",
                    "skills": [],
                    "objective": "x",
                    "script": "a.py",
                    "args": ["--n", 2],
                    "test": {"args": ["--limit", "2"], "timeout": 60},
                    "mode": "background",
                    "timeout": 300,
                    "retry": {"attempts": 3, "on": ["timeout", "oom", "rate_limit", "exit:75"]},
                    "success_criteria": [
                        *[
                            "Started",
                            {"criterion": "a", "file": "x*"},
                            {"criterion": "b", "command": "true", "any_age": True},
                        ],
                        {"criterion": "c", "matches": {"file": "a", "pattern": "b", "flags": "i"}},
                        {"criterion": "d", "metric": {"name": "loss", "below": 2.5}},
                        *[{"criterion": "e", "result": True}, {"criterion": "f", "result": "other"}],
                    ],
                    "on_lost": "ask",
                    "max_output": "100MB",
                    "judge": {"rounds": 2},
                    "limits": {"usd": 1.5},
                    "chunks": [{"size": 100}],
                    "checkpoint_every": 500,
                    "quality_check": [{"command": "x"}],
                },
                "background": [
                    {"task": "loss", "metrics": "m.jsonl", "rules": ["nan", {"stall": "6x"}], "on_alert": "stop"},
                    *[{"monitor": "wc -l x"}, {"check": "tail -1 y"}, {"alert": "grep ERROR z"}],
                    {"metrics": {"file": "m.csv", "step": "epoch", "total": 9, "columns": ["a"], "format": "csv"}},
                    {"checkpoints": {"path": "c/*", "min_bytes": 1}, "interval": "2m", "grace": "1h", "timeout": "5s"},
                    {"log": {"file": "l", "match": "x"}, "on_alert": {"command": "x"}},
                    {"disk": {"path": ".", "write": True}, "rules": [{"disk_hours_left": 2}], "env": ["HF_TOKEN"]},
                    {"gpu": 0, "on_alert": {"stop": {"grace": "30s"}}},
                    *[{"gpu": True}, {"process": True}, {"memory": True}, {"progress": True}, {"call": "a.b"}],
                    {
                        "command": "x",
                        "on_alert": {
                            "restart": {"from": "latest_checkpoint", "attempts": 2, "backoff": 30, "grace": 5}
                        },
                    },
                ],
            }
        )
        == []
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"titel": "x"}, "step_1_a.titel: unknown key 'titel'; did you mean title"),
        ({"main": {"scirpt": "x"}}, "step_1_a.main.scirpt: unknown key 'scirpt'; did you mean script"),
        (
            {"pre_flight": [{"comand": "x"}]},
            "step_1_a.pre_flight[0].comand: unknown key 'comand'; did you mean command",
        ),
        (
            {"main": {"retry": {"attempt": 2}}},
            "step_1_a.main.retry.attempt: unknown key 'attempt'; did you mean attempts",
        ),
        ({"main": {"test": {"arg": []}}}, "step_1_a.main.test.arg: unknown key 'arg'; did you mean args"),
        (
            {"main": {"mode": "backgroud"}},
            "step_1_a.main.mode: must be normal or background or chunked, got 'backgroud'; did you mean background",
        ),
        (
            {"pre_flight": [{"parallel": "yes"}]},
            "step_1_a.pre_flight[0].parallel: must be true or false, got 'yes'; write true",
        ),
        (
            {"pre_flight": [{"timeout": "5 x"}]},
            f"step_1_a.pre_flight[0].timeout: {A_SPAN}, got '5 x'",
        ),
        (
            {"pre_flight": [{"timeout": 0}]},
            f"step_1_a.pre_flight[0].timeout: {A_SPAN}, got 0",
        ),
        ({"pre_flight": None}, "step_1_a.pre_flight: must be a list, got nothing"),
        ({"title": ""}, "step_1_a.title: must not be empty"),
        ({"main": {"test": 5}}, "step_1_a.main.test: must be text or a mapping, got 5"),
        ({"main": {"test": "nome"}}, "step_1_a.main.test: must be none, got 'nome'; did you mean none"),
        ({"main": {"chunks": [{}]}}, "step_1_a.main.chunks[0]: needs size"),
        (
            {"main": {"max_output": "10 bananas"}},
            "step_1_a.main.max_output: must be a size such as 512, 10MB or 1.5GiB, above 0, got '10 bananas'",
        ),
        (
            {"background": [{"metrcs": "x"}]},
            "step_1_a.background[0].metrcs: unknown key 'metrcs'; did you mean metrics",
        ),
        (
            {"background": [{"gpu": 0, "interval": "soon"}]},
            f"step_1_a.background[0].interval: {A_SPAN}, got 'soon'",
        ),
        ({"background": [{"gpu": -1}]}, "step_1_a.background[0].gpu: must be at least 0, got -1"),
        (
            {"background": [{"gpu": 0, "on_alert": "halt"}]},
            "step_1_a.background[0].on_alert: must be notify or stop or restart or block, got 'halt'",
        ),
        (
            {"background": [{"gpu": 0, "on_alert": {"stop": {}, "command": "x"}}]},
            "step_1_a.background[0].on_alert: has 'stop' and 'command': keep one of them",
        ),
        (
            {"background": [{"gpu": 0, "on_alert": {"restart": {"attempt": 2}}}]},
            "step_1_a.background[0].on_alert.restart.attempt: unknown key 'attempt'; did you mean attempts",
        ),
        (
            {"main": {"args": [1.5]}},
            "step_1_a.main.args[0]: must be text or a whole number (quote a number with a point), got 1.5",
        ),
        (5, "step_1_a: must be a mapping, got 5"),
        ({"pre_flight": [{"timeout": "400d"}]}, f"step_1_a.pre_flight[0].timeout: {A_SPAN}, got '400d'"),
        (
            {"main": {"success_criteria": [{"criterion": "x", "matches": {"file": "a", "pattern": "("}}]}},
            (
                "step_1_a.main.success_criteria[0].matches.pattern: is no regular expression:"
                " missing ), unterminated subpattern at position 0"
            ),
        ),
        (
            {"background": [{"metrics": {"file": "a", "columns": ["loss", "loss"]}}]},
            "step_1_a.background[0].metrics.columns: names one twice",
        ),
        (
            {"background": [{"log": " "}]},
            "step_1_a.background[0].log: must be a path or glob of at most 4096 characters, got ' '",
        ),
    ],
)
def test_a_wrong_step_is_told_in_words(body: object, message: str) -> None:
    assert told(body) == [message]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"versoin": 1}, "settings.versoin: unknown key 'versoin'; did you mean version"),
        (
            {"version": 2},
            "settings.version: must be 1 (a newer do-tasks wrote this file, or the number is wrong), got 2",
        ),
        ({"max_parallel": 0}, "settings.max_parallel: must be at least 1, got 0"),
        ({"notify": [{"url": "json://a", "on": []}]}, "settings.notify[0].on: must not be empty"),
        ({"notify": [{}]}, "settings.notify[0]: must not be empty"),
        ({"notify": 5}, "settings.notify: must be text or a mapping or a list, got 5"),
        ({"env": ["A-B"]}, "settings.env[0]: 'A-B' has not the right form: write, for example, HF_TOKEN"),
    ],
)
def test_wrong_settings_are_told_in_words(body: object, message: str) -> None:
    assert told(body, key="settings") == [message]


def test_all_problems_come_at_once() -> None:
    assert len(told({"titel": 1, "main": {"mode": "x", "timeout": -1}, "pre_flight": [{"a": 1}, 5]})) == 5


def test_an_unknown_key_far_from_all_others_is_told_with_them() -> None:
    (message,) = told({"zzz": 1})
    assert message.startswith("step_1_a.zzz: unknown key 'zzz'; known: id, title, depends_on, ")
    assert message.endswith(", post_validation, background")


def test_x_keys_hold_anything() -> None:
    assert told([1, {"a": None}], key="x-defaults") == []


def test_forms_are_the_same_in_the_schema_as_in_code():
    text = json.dumps(plan_schema())
    assert all(json.dumps(form)[1:-1] in text for form in (STEP_KEY, SIZE_PATTERN, TIME_PATTERN, TIME_HINT, SIZE_HINT))


# Against the library


WHOLE = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
    "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
)
LIBRARY = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=WHOLE)


def without_formats(schema):
    """Return the schema as the library reads it, which does not know the formats of a plan."""
    if isinstance(schema, list):
        return [without_formats(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_formats(part) for key, part in schema.items() if key != "format" or part == {}}


def words_in(node):
    if isinstance(node, dict):
        return {*node} | {word for part in node.values() for word in words_in(part)}
    if isinstance(node, list):
        return {word for part in node for word in words_in(part)}
    return {node} if isinstance(node, str) else set()


PLAN_WORDS = st.sampled_from(sorted(words_in(plan_schema())))
SCALARS = st.none() | st.booleans() | st.integers(-2, 70_000) | st.floats(0, 2) | st.text(string.printable, max_size=3)
TREES = st.recursive(
    SCALARS | PLAN_WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAN_WORDS, inner, max_size=3),
    max_leaves=12,
)
DEFINITIONS = sorted(plan_schema()["$defs"])


@given(st.sampled_from(DEFINITIONS), TREES)
def test_a_value_is_valid_here_when_it_is_to_jsonschema(name: str, value: object) -> None:
    library = LIBRARY({"$defs": without_formats(plan_schema()["$defs"]), "$ref": f"#/$defs/{name}"})
    found = departures({"$ref": f"#/$defs/{name}"}, value)
    if library.is_valid(value):
        assert all(
            "regular expression" in message or "time such" in message or "size such" in message for _, message in found
        )
    else:
        assert found


def test_every_keyword_of_the_schema_is_one_that_is_evaluated() -> None:
    from executor.plan import schema

    ignored = {"$schema", "$id", "$defs", "$ref", "title", "description", "default", "examples", "type"}
    ignored |= {"patternProperties", "additionalProperties", "x-forms"}
    assert keywords_of(plan_schema()) - ignored <= schema._KEYWORDS.keys()


def keywords_of(schema: object) -> set[str]:
    if not isinstance(schema, dict):
        return set()
    named = [part for key in ("properties", "patternProperties", "$defs") for part in schema.get(key, {}).values()]
    inner = [*named, *schema.get("anyOf", ()), schema.get("items")]
    return {*schema} | {word for part in inner for word in keywords_of(part)}


def test_a_mapping_with_known_keys_allows_no_others() -> None:
    def open_mappings(schema: object) -> list[object]:
        if isinstance(schema, list):
            return [found for part in schema for found in open_mappings(part)]
        if not isinstance(schema, dict):
            return []
        inner = [found for part in schema.values() for found in open_mappings(part)]
        closed = (False, {"$ref": "#/$defs/named_step"})
        is_open = isinstance(schema.get("properties"), dict) and schema.get("additionalProperties") not in closed
        return [*inner, schema] if is_open and "type" in schema else inner

    assert open_mappings(plan_schema()) == []


# Defaults


DEFS = plan_schema()["$defs"]
MAIN = DEFS["step"]["properties"]["main"]["properties"]
ALERT = DEFS["monitor"]["properties"]["on_alert"]["anyOf"][1]["properties"]
READ_ELSEWHERE = {"interval": ("interval_s", build.seconds), "timeout": ("limit_s", build.seconds)}
DEFAULTS = {  # where keys are described: their record, and how each becomes a field of it
    "settings": (plan_schema()["properties"]["settings"]["properties"], Settings, build._SETTINGS),
    "main": (MAIN, Main, build._MAIN),
    "test": (MAIN["test"]["anyOf"][1]["properties"], TestForm, build._TEST),
    "retry": (MAIN["retry"]["properties"], Retry, build.same("attempts", "on")),
    "check": (DEFS["check"]["properties"], Check, build._CHECK),
    "criterion": (DEFS["criterion"]["anyOf"][1]["properties"], Criterion, build._CRITERION),
    "edge": (DEFS["edge"]["anyOf"][1]["properties"], Edge, build.same("until")),
    "notifier": (DEFS["notifier_mapping"]["properties"], Notifier, build.same("on", "env")),
    "monitor": (DEFS["monitor"]["properties"], Monitor, READ_ELSEWHERE | build_monitors._MONITOR),
    "stop": (ALERT["stop"]["properties"], Action, build_monitors._ACTION),
    "restart": (ALERT["restart"]["properties"], Action, build_monitors._ACTION),
}
MEANS_NOT_WRITTEN = ("", None, (), 0)


@pytest.mark.parametrize(("keys", "record", "readers"), DEFAULTS.values(), ids=[*DEFAULTS])
def test_the_schema_has_the_defaults_of_the_records(keys, record, readers) -> None:
    in_schema = {key: readers[key][1](part["default"]) for key, part in keys.items() if "default" in part}
    in_record = {key: getattr(record, readers[key][0]) for key in in_schema}
    assert in_schema == in_record


@pytest.mark.parametrize(("keys", "record", "readers"), DEFAULTS.values(), ids=[*DEFAULTS])
def test_a_default_of_a_record_stands_in_the_schema(keys, record, readers) -> None:
    elsewhere = {"max_output", "test", "retry"}  # that of the settings; records of their own
    fields = {key: getattr(record, field, None) for key, (field, _) in readers.items() if key in keys}
    named = {key for key, default in fields.items() if default is False or default not in MEANS_NOT_WRITTEN}
    assert {key for key in named - elsewhere if "default" not in keys[key]} == set()


@pytest.mark.parametrize(
    ("keys", "defaults"),
    [
        (DEFS["judge"], {"rounds": limits.ROUNDS}),
        (DEFS["limits"], {"stall": limits.STALL_S, "command": limits.COMMAND_S}),
        (
            DEFS["sandbox"],
            {name: getattr(limits.Sandbox, name) for name in ("mode", "network", "environment")},
        ),
    ],
)
def test_the_schema_has_the_defaults_of_an_agents_limits(keys, defaults) -> None:
    assert {key: part["default"] for key, part in keys["properties"].items() if "default" in part} == defaults
