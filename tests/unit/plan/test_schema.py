"""What the JSON Schema refuses, and in which words."""

from __future__ import annotations

import json

import jsonschema
import pytest

from executor.plan.patterns import STEP_KEY
from executor.plan.schema import plan_schema, schema_problems
from executor.system.quantities import SIZE_HINT, SIZE_PATTERN, TIME_HINT, TIME_PATTERN

A_SPAN = "must be a time such as 90, 90s, 10m or 1h30m, above 0 and at most 365d"

STEP = "step_1_a"


def told(body: object, *, key: str = STEP) -> list[str]:
    return [f"{problem.path}: {problem.message}" for problem in schema_problems({key: body}, "plan.yaml")]


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
        ({"main": {"args": [1.5]}}, "step_1_a.main.args[0]: must be text or a whole number, got 1.5"),
        (5, "step_1_a: must be a mapping or nothing, got 5"),
    ],
)
def test_a_wrong_step_is_told_in_words(body: object, message: str) -> None:
    assert told(body) == [message]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"versoin": 1}, "settings.versoin: unknown key 'versoin'; did you mean version"),
        ({"version": 2}, "settings.version: must be 1, got 2"),
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
    assert told({"zzz": 1}) == [
        "step_1_a.zzz: unknown key 'zzz'; known: title, depends_on, pre_flight, main, post_validation, background"
    ]


def test_x_keys_hold_anything() -> None:
    assert told([1, {"a": None}], key="x-defaults") == []


def test_a_plan_that_is_a_list_is_refused() -> None:
    assert [str(problem) for problem in schema_problems([1], "plan.yaml")] == [
        "plan.yaml: must be a mapping, got a list"
    ]


def test_forms_are_the_same_in_the_schema_as_in_code():
    text = json.dumps(plan_schema())
    assert all(json.dumps(form)[1:-1] in text for form in (STEP_KEY, SIZE_PATTERN, TIME_PATTERN, TIME_HINT, SIZE_HINT))
