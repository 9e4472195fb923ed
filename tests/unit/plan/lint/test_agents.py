"""Which mistakes around agents are told before anything runs."""

from __future__ import annotations

import pytest

from executor.plan.lint.agents import lint_agent
from executor.plan.plan import validate

JUDGED = "success_criteria: [{criterion: c, file: out.txt}]"


def warned(main: str, *, settings: str = "{}", more: str = "") -> list[str]:
    text = f"settings: {settings}\nstep_1_a:\n  main: {{{main}}}\n{more}"
    found = validate(text.encode(), file="plan.yaml", read_script=lambda _: "--test", doubts=lint_agent)
    assert {problem.severity for problem in found} <= {"warning"}, found
    return [f"{problem.line}: {problem.path}: {problem.message}" for problem in found]


@pytest.mark.parametrize(
    ("main", "settings", "path"),
    [
        ("agent: smith, limits: {usd: 2}", "{}", "3: step_1_a.main.limits.usd"),
        ("runner: agent, limits: {usd: 2}", "{runner: claude-code}", "3: step_1_a.main.limits.usd"),
        ("agent: smith", "{limits: {usd: 2}}", "3: step_1_a.main"),
    ],
)
def test_money_without_prices_is_told_with_its_line(main: str, settings: str, path: str) -> None:
    [warning] = warned(f"{main}, {JUDGED}", settings=settings)
    assert warning.startswith(f"{path}: limits.usd without prices")
    assert "add prices: {input: ..., output: ...}" in warning


@pytest.mark.parametrize(
    ("main", "settings"),
    [
        ("agent: smith, limits: {usd: 2}", "{limits: {prices: {input: 1, output: 2}}}"),
        ("agent: smith, runner: claude-code, limits: {usd: 2}", "{}"),
        ("agent: smith, limits: {usd: 2}", "{runner: claude-code}"),
        ("script: a, runner: command, limits: {usd: 2}", "{}"),
    ],
)
def test_money_that_can_be_counted_is_no_matter(main: str, settings: str) -> None:
    assert warned(f"{main}, {JUDGED}", settings=settings) == []


def test_no_money_is_told_to_be_no_limit() -> None:
    [warning] = warned(f"agent: smith, limits: {{usd: 0}}, {JUDGED}")
    assert "usd: 0 is no limit" in warning


@pytest.mark.parametrize("criteria", ["", "success_criteria: [it is good]"])
@pytest.mark.parametrize("main", ["agent: smith", "runner: host, script: a", "objective: x, runner: claude-code"])
def test_an_agent_that_nothing_checks_is_told(main: str, criteria: str) -> None:
    [warning] = warned(", ".join(filter(None, (main, criteria))))
    assert "the agent's word alone ticks the box: bind a criterion" in warning


def test_one_check_after_an_agent_is_enough() -> None:
    assert warned("agent: smith", more="  post_validation: [{task: t, command: make test}]\n") == []


def test_a_job_is_told_that_no_agent_is_its_process() -> None:
    [warning] = warned(f"agent: smith, runner: agent, script: a, mode: background, {JUDGED}")
    assert warning.startswith("3: step_1_a.main.runner: mode: background runs the script itself")


@pytest.mark.parametrize("written", ["skills: [a]", "model: opus", "limits: {turns: 3}", "judge: {rounds: 1}"])
def test_what_only_agents_read_is_told_where_none_works(written: str) -> None:
    [warning] = warned(f"script: a, {written}")
    assert "none does this step: add agent: tinker-executor" in warning


@pytest.mark.parametrize("glob", ["/etc/**", "../other/**", "~/data", "data/../../x"])
def test_a_glob_that_leads_out_is_told(glob: str) -> None:
    [warning] = warned("script: a", settings=f'{{protect: [data/**, "{glob}"]}}')
    assert warning.startswith("1: settings.protect[1]:")
    assert "leads out of the project" in warning


@pytest.mark.parametrize("glob", ["data/**", "data/..x", ".github/*", "a/../b"])
def test_a_glob_that_stays_inside_passes(glob: str) -> None:
    assert warned("script: a", settings=f'{{protect: ["{glob}"]}}') == []


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("command: curl -f https://example.org", "add network: true"),
        ("command: pip install wheel", "add network: true"),
        ("command: 'echo $HF_TOKEN | head -c 3'", "add env: [HF_TOKEN]"),
        ("command: curl -f https://example.org, network: true", ""),
        ("command: 'test -n ${HF_TOKEN}', env: [HF_TOKEN]", ""),
        ("url: 'https://example.org'", ""),
        ("command: 'echo $HOME'", ""),
    ],
)
def test_what_a_check_lacks_after_an_agents_work_is_told(check: str, said: str) -> None:
    post = f"  post_validation: [{{task: a, {check}}}]\n"
    found = [one for one in warned(f"agent: smith, {JUDGED}", more=post) if "after an agent" in one]
    assert [said in one for one in found] == ([True] if said else [])


def test_a_command_and_an_open_sandbox_lack_nothing() -> None:
    post = "  post_validation: [{task: a, command: curl -f https://example.org}]\n"
    assert warned(f"agent: smith, sandbox: {{mode: 'off'}}, {JUDGED}", more=post) == []
    assert warned("command: make it, test: none", more=post) == []
