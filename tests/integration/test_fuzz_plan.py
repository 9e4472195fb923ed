"""Whatever stands in step_definitions.yaml, a plan or its problems come out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executor.errors import DefinitionError
from executor.plan.plan import from_cache, read_plan, to_cache, validate
from executor.plan.schema import plan_schema

FOUNDING = Path(__file__).parents[1] / "fixtures" / "founding"
RICH = """\
settings:
  {version: 1, strict: true, env: [A], max_output: 1GB, judge: {}, notify: ["env:A", {url: x://y, on: [died]}]}
x-check: &check {timeout: 5, parallel: true}
step_1_a:
  title: One
  pre_flight:
    - {<<: *check, task: k, env_set: KEY}
    - {<<: *check, file: {path: "*.x", min_count: 2}}
  main:
    command: "true"
    test: {command: "true", timeout: 5}
    retry: {attempts: 3, on: [oom, "exit:75"]}
    success_criteria: [words, {criterion: c, matches: {file: f, pattern: "a|b"}}]
step_3_b:
  depends_on: [1, {step: 1, until: finished}]
  main: {script: b.py, mode: chunked, chunks: [{size: 1}], rows: 'r_{chunk}.jsonl', args: [1, x], skills: []}
  post_validation: [{call: a.b, when: start}, {verify: prose}]
  background:
    - {monitor: ls, interval: 5m, alert_on: "nan|x", on_alert: {stop: {grace: 5}}}
    - {task: m, metrics: f, rules: [nan, {stall: 6x}], on_alert: {restart: {attempts: 2}}}
"""
PLANS = [RICH, *(path.read_text(encoding="utf-8") for path in sorted(FOUNDING.glob("*.yaml")))]
SHARDS = [
    *("&a ", "*a", "<<: ", "!!python/name:os ", "!x ", "---\n", "...\n", "%YAML 1.1\n", "? ", "- ", ": ", "\n", "\t"),
    *("{", "}", "[", "]", "'", '"', "|\n", ">\n", "#", "@", "`", "\\", "\x00", "\x1b", "\x85", "\u2028", "\ufeff", "é"),
    *("null", "~", "true", "1e999", "9" * 30, "-1", "0", ".nan", "step_2_c:\n", "step_1_a:\n", "settings:\n", "  "),
    *("depends_on: [3]", "depends_on: [[1]]", "until: first_checkpoint", "(", "timeout: 0", "main: []", "[" * 80),
]


def words_in(schema: object) -> set[str]:
    """Every key and choice that the schema knows."""
    found = {*schema.get("properties", {}), *map(str, schema.get("enum", ()))} if isinstance(schema, dict) else set()
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    return found.union(*map(words_in, inner))


WORDS = sorted(words_in(plan_schema()))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 100)
    | st.floats(allow_nan=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
)
KEYS = st.sampled_from(WORDS) | st.text("abx_-1", max_size=4)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=15
)
STEPS = st.dictionaries(st.sampled_from(list(plan_schema()["$defs"]["step"]["properties"])), TREES, max_size=6)
TOP_KEYS = st.sampled_from(
    ["settings", "x-a", "step_1_a", "step_2_b", "step_2_c", "step_9_d", "step_01_e", "step", "é"]
)
STRUCTURES = st.dictionaries(TOP_KEYS, STEPS | TREES, max_size=5).map(
    lambda top: yaml.safe_dump(top, sort_keys=False, allow_unicode=True).encode()
)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(PLANS)).encode()
    for _ in range(draw(st.integers(1, 5))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.sampled_from([0, 0, 1, 3, 20])))
        shard = draw(
            st.sampled_from(SHARDS).map(str.encode) | st.binary(max_size=3) | st.just(text[begin : begin + 60])
        )
        text = text[:begin] + shard + text[end:]
    return text


DOCUMENTS = mutations() | STRUCTURES


def hold(data: bytes) -> None:
    """Read, validate, build and cache; anything but DefinitionError fails the test."""
    problems = validate(data, file="plan.yaml", read_script={"b.py": "--test"}.get)
    assert all(str(problem).isprintable() for problem in problems)
    wrong = any(problem.severity == "error" for problem in problems)
    try:
        plan = read_plan(data, file="plan.yaml")
        steps = [(plan.title(number), plan.step(number)) for number in plan.numbers]
    except DefinitionError:
        assert wrong
        return
    assert len(steps) == len(plan.numbers)
    assert from_cache(json.loads(json.dumps(to_cache(plan), allow_nan=False))) == plan


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_any_document_is_a_plan_or_its_problems(data: bytes) -> None:
    hold(data)


@pytest.mark.deep
@pytest.mark.timeout(1_800)
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_ten_thousand_documents_are_plans_or_their_problems(data: bytes) -> None:
    hold(data)
