"""What may stand under background, depends_on.until and settings.notify, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import DefinitionError
from executor.monitoring.model import NOTICES, Action, Monitor, Notifier
from executor.monitoring.probes.registry import PROBES
from executor.monitoring.rules.registry import RULES, RuleKind, read_rule
from executor.plan.build_monitors import KEYS, PROBED
from executor.plan.plan import from_cache, read_plan, to_cache, validate
from executor.plan.schema import plan_schema

A_SPAN = "must be a time such as 90, 90s, 10m or 1h30m, above 0 and at most 365d"

FOUNDING = Path(__file__).parents[2] / "fixtures" / "founding"
JOB = "main: {command: x, test: none, mode: background"


def plan_of(text: str):
    return read_plan(text.encode(), file="plan.yaml")


def problems(text: str) -> list[str]:
    found = validate(text.encode(), file="plan.yaml", read_script=lambda _: "--test")
    return [f"{problem.path}: {problem.message}" for problem in found]


def job(*monitors: str, more: str = "") -> str:
    items = "".join(f"    - {{{one}}}\n" for one in monitors)
    return f"step_1_a:\n  {JOB}{more}}}\n  background:\n{items}"


def monitors(*written: str, more: str = "") -> tuple[Monitor, ...]:
    assert problems(job(*written, more=more)) == []
    return plan_of(job(*written, more=more)).step(1).background


def monitor(written: str, more: str = "") -> Monitor:
    [one] = monitors(written, more=more)
    return one


def refused(*written: str, more: str = "") -> str:
    """Return the last error of reading; validate finds it too."""
    text = job(*written, more=more)
    with pytest.raises(DefinitionError) as caught:
        plan_of(text)
    last = f"{caught.value.problems[-1].path}: {caught.value.problems[-1].message}"
    assert last in problems(text)
    return last.removeprefix("step_1_a.background")


# What a monitor looks at


@pytest.mark.parametrize(
    ("written", "kind", "asks"),
    [
        ("command: ls", "command", "ls"),
        ("monitor: ls", "command", "ls"),
        ("check: ls", "check", "ls"),
        ("alert: ls", "alert", "ls"),
        ("metrics: m.jsonl", "metrics", "m.jsonl"),
        ("metrics: {file: m.csv, step: epoch}", "metrics", {"file": "m.csv", "step": "epoch"}),
        ("checkpoints: ck/*", "checkpoints", "ck/*"),
        ("checkpoints: {path: ck/*, min_bytes: 1}", "checkpoints", {"path": "ck/*", "min_bytes": 1}),
        ("log: a.log", "log", "a.log"),
        ("disk: .", "disk", "."),
        ("progress: true", "progress", True),
        ("process: true", "process", True),
        ("memory: true", "memory", True),
        ("gpu: true", "gpu", True),
        ("gpu: 0", "gpu", 0),
        ("call: checks.data.is_clean", "call", "checks.data.is_clean"),
        ("call: {target: a.b, args: {n: 1}}", "call", {"target": "a.b", "args": {"n": 1}}),
    ],
)
def test_a_monitor_looks_at_one_thing(written: str, kind: str, asks: object) -> None:
    assert monitor(f"task: t, {written}") == Monitor("t", kind, asks)


def test_the_schema_has_each_key_that_says_what_to_look_at() -> None:
    assert set(KEYS) <= plan_schema()["$defs"]["monitor"]["properties"].keys()


def test_every_probe_may_be_written() -> None:
    assert {*PROBED} == PROBES.keys()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("metrics: 7", "[0].metrics: must be text or a mapping, got 7"),
        ("metrics: {step: iter}", "[0].metrics: needs file"),
        ("metrics: {file: a, total: 0}", "[0].metrics.total: must be above 0, got 0"),
        ("metrics: {file: a, total: true}", "[0].metrics.total: must be a number, got true"),
        ("metrics: {file: a, columns: loss}", "[0].metrics.columns: must be a list, got 'loss'"),
        ("metrics: {file: a, columns: []}", "[0].metrics.columns: must not be empty"),
        ("metrics: {file: a, columns: [a, a]}", "[0].metrics.columns: names one twice"),
        ("metrics: {file: a, format: xml}", "[0].metrics.format: must be jsonl or csv or columns or tensorboard"),
        ("checkpoints: [a]", "[0].checkpoints: must be text or a mapping, got a list"),
        ("checkpoints: {path: a, min_bytes: 1.5}", "[0].checkpoints.min_bytes: must be a size such as 512, 10MB"),
        ("checkpoints: {path: a, min_bytes: 0kB}", "[0].checkpoints.min_bytes: must be a size such as 512, 10MB"),
        ("log: {file: a, match: '('}", "[0].log.match: is no regular expression: missing )"),
        ("disk: {path: ., write: no}", "[0].disk.write: must be true or false, got 'no'; write false"),
        ("disk: ' '", "[0].disk: must be a path"),
        ("progress: stdout", "[0].progress: must be true or false, got 'stdout'"),
        ("memory: 1", "[0].memory: must be true or false, got 1"),
        ("gpu: false", "[0].gpu: must be true, got false"),
    ],
)
def test_options_of_a_probe_that_cannot_be_say_why(written: str, said: str) -> None:
    assert refused(written).startswith(said)


def test_all_that_may_be_written_is_read() -> None:
    written = (
        "task: t, command: x, interval: 5m, timeout: 9s, alert_on: a|b, grace: 1h, on_alert: stop, env: [HF_TOKEN]"
    )
    assert monitor(written) == Monitor(
        *("t", "command", "x"),
        interval_s=300.0,
        limit_s=9.0,
        alert_on="a|b",
        action=Action("stop"),
        grace_s=3600.0,
        env=("HF_TOKEN",),
    )


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("task: t", f"[0]: needs one of {', '.join(KEYS)}"),
        ("task: t, command: a, metrics: b", "[0]: has command and metrics: keep one of them"),
        ("command: ''", "[0].command: must not be empty"),
        ("process: false", "[0].process: must be true, got false"),
        ("gpu: -1", "[0].gpu: must be at least 0, got -1"),
        ("metrics: {fil: x}", "[0].metrics.fil: unknown key 'fil'; did you mean file"),
        ("disk: 5", "[0].disk: must be text or a mapping, got 5"),
        ("command: a, alert_on: '*'", "[0].alert_on: alert_on is no regular expression"),
        ("command: a, alert_on: 'error|'", "[0].alert_on: alert_on finds something even where there is nothing"),
        ("log: {file: a, match: x}, alert_on: y", "[0].alert_on: stands beside match: keep one of the two"),
        (
            "command: a, interval: soon",
            f"[0].interval: {A_SPAN}",
        ),
        (
            "command: a, interval: 0s",
            f"[0].interval: {A_SPAN}",
        ),
        (
            "command: a, interval: 400d",
            f"[0].interval: {A_SPAN}",
        ),
        (
            "command: a, timeout: true",
            f"[0].timeout: {A_SPAN}",
        ),
        ("command: a, grace: [1]", "[0].grace: must be a time such as 90, 90s, 10m or 1h30m, at most 365d"),
        (
            "metrics: a, alert_on: nan",
            "[0].alert_on: is only for command, monitor, log: of metrics, rules: [...] decide",
        ),
        ("check: a, alert_on: nan", "[0].alert_on: is only for command, monitor, log: of check, its exit code decides"),
    ],
)
def test_a_monitor_that_cannot_be_says_why(written: str, said: str) -> None:
    assert said in refused(written)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90.0), ("0.5", 0.5), ("'90'", 90.0), ("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0), ("1 d", 86_400.0)],
)
def test_a_time_may_be_written_with_its_unit(written: str, seconds: float) -> None:
    one = monitor(f"metrics: a, interval: 2, timeout: {written}, grace: {written}")
    assert (one.limit_s, one.grace_s) == (seconds, seconds)


@pytest.mark.parametrize("key", ["command", "monitor", "check", "alert"])
def test_a_command_has_30_s_at_most_and_validate_says_so(key: str) -> None:
    written = f"{key}: x, timeout: 1m"
    assert plan_of(job(written)).step(1).background[0].limit_s == 30
    assert problems(job(written)) == [
        "step_1_a.background[0].timeout: 1m is cut to 30 s: what takes longer belongs in main"
    ]


# Names


def test_a_name_is_what_is_written_else_the_command_else_the_kind() -> None:
    named = monitors(
        "task: t, metrics: m", "command: wc   -l x", "alert: grep E x", "metrics: m", "gpu: 0", "call: a.b"
    )
    assert [one.name for one in named] == ["t", "wc -l x", "grep E x", "metrics", "gpu", "call"]


def test_a_name_that_nobody_wrote_is_numbered_where_it_is_taken() -> None:
    named = monitors("metrics: a", "metrics: b", "task: metrics 2, gpu: true", "check: metrics", "metrics: c")
    assert [one.name for one in named] == ["metrics", "metrics 3", "metrics 2", "metrics 4", "metrics 5"]


def test_two_written_names_that_are_the_same_are_refused() -> None:
    assert "[1].task: is the name of a monitor above" in refused("task: a, gpu: 0", "task: a, gpu: 1")


# Rules


def test_rules_are_read_by_their_table() -> None:
    [one] = monitors("metrics: m, interval: 10, rules: [nan, {stall: 6x}]")
    expected = tuple(read_rule(rule, monitor_kind="metrics", interval_s=10.0) for rule in ("nan", {"stall": "6x"}))
    assert one.rules == expected


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("metrics: m, rules: [nann]", "[0].rules[0]: "),
        ("metrics: m, rules: [nan, {stal: 6x}]", "[0].rules[1].stal: "),
        ("metrics: m, rules: [{stall: 6 kg}]", "[0].rules[0]: "),
        ("disk: ., rules: [nan]", "[0].rules[0]: "),
        ("metrics: m, rules: [nan, nan]", "[0].rules[1]: nan stands twice"),
        ("metrics: m, rules: nan", "[0].rules: must be a list, got 'nan'"),
    ],
)
def test_a_rule_that_does_not_fit_is_told_by_its_path(written: str, said: str) -> None:
    assert refused(written).startswith(said)


def test_an_unknown_rule_is_told_with_the_nearest() -> None:
    assert "did you mean divergence" in refused("metrics: m, rules: [divergance]")


def test_the_schema_has_the_rules_of_the_table() -> None:
    text, mapping = plan_schema()["$defs"]["rule"]["anyOf"]
    written = {
        name: (one["description"], {*one["anyOf"][-1]["properties"]}) for name, one in mapping["properties"].items()
    }
    assert written == {name: (kind.description, {*kind.defaults}) for name, kind in RULES.items()}
    assert {*text["enum"]} == {*RULES}


RULE_PLACES = [(name, kind, monitor) for name, kind in RULES.items() for monitor in kind.fits]


@pytest.mark.parametrize(("name", "kind", "looks"), RULE_PLACES, ids=[f"{name}-{fit}" for name, _, fit in RULE_PLACES])
def test_a_rule_is_taken_in_each_form_of_its_example(name: str, kind: RuleKind, looks: str) -> None:
    asks = {"process": "true", "progress": "true"}.get(looks, "x")
    for form in kind.example.split(", or "):
        [rule] = monitor(f"{looks}: {asks}, rules: [{form}]").rules
        assert rule.kind == name


REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "definitions.md"
ROWS = {
    cells[1].strip(" `"): cells[2:]
    for cells in (line.split("|") for line in REFERENCE.read_text(encoding="utf-8").splitlines())
    if cells[1:] and cells[1].strip(" `") in RULES
}


def test_the_reference_has_every_rule() -> None:
    assert ROWS.keys() == RULES.keys()


@pytest.mark.parametrize(("name", "kind"), RULES.items(), ids=[*RULES])
def test_the_reference_tells_a_rule_as_it_is(name: str, kind: RuleKind) -> None:
    fits, defaults, alerts = ROWS[name][:3]
    shown = yaml.safe_load(defaults.strip(" `"))
    assert [one.strip() for one in fits.split(",")] == [*kind.fits]
    assert read_rule(shown, monitor_kind=kind.fits[0], interval_s=60) == read_rule(
        name, monitor_kind=kind.fits[0], interval_s=60
    )
    assert {key for key in kind.defaults if f"`{key}`" not in alerts and f"{key}:" not in defaults} == set()


# Actions


@pytest.mark.parametrize(
    ("written", "action"),
    [
        ("notify", Action()),
        ("stop", Action("stop")),
        ("restart", Action("restart")),
        ("block", Action("block")),
        ("{stop: {grace: 30}}", Action("stop", grace_s=30.0)),
        ("{stop: {}}", Action("stop")),
        ("{restart: {attempts: 5}}", Action("restart", attempts=5)),
        ("{restart: {backoff: 2m, grace: 1m}}", Action("restart", backoff_s=120.0, grace_s=60.0)),
        ("{command: ./page.sh}", Action("command", "./page.sh")),
    ],
)
def test_what_an_alert_does(written: str, action: Action) -> None:
    assert monitor(f"metrics: m, on_alert: {written}").action == action


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("halt", "must be notify or stop or restart or block, got 'halt'"),
        ("command", "must be notify or stop or restart or block, got 'command'; did you mean"),
        ("{stop: {}, restart: {}}", "has 'stop' and 'restart': keep one of them"),
        ("{}", "must not be empty"),
        ("{restart: {attempts: 0}}", "restart.attempts: must be at least 1, got 0"),
        ("{restart: {from: first}}", "restart.from: must be latest_checkpoint, got 'first'"),
        ("{command: ''}", "command: must not be empty"),
    ],
)
def test_an_action_that_cannot_be_says_why(written: str, said: str) -> None:
    assert said.removesuffix("; did you mean") in refused(f"metrics: m, on_alert: {written}")


FROM = "on_alert: {restart: {from: latest_checkpoint}}"


@pytest.mark.parametrize(
    ("others", "more"),
    [(("checkpoints: ck/*",), ""), ((), ", success_criteria: [{criterion: saved, file: ck/*.pt}]")],
)
def test_a_restart_finds_its_checkpoint_by_a_monitor_or_a_criterion(others: tuple[str, ...], more: str) -> None:
    assert monitors(f"metrics: m, {FROM}", *others, more=more)[0].action == Action("restart")


def test_a_restart_without_checkpoints_is_refused() -> None:
    assert "[0].on_alert.restart.from: needs something that finds checkpoints" in refused(f"metrics: m, {FROM}")


# Gates on a job


@pytest.mark.parametrize("until", ["started", "first_checkpoint"])
@pytest.mark.parametrize("first", ["{main: {script: a}, background: [{checkpoints: c}]}", ""])
def test_only_a_job_is_started_or_has_checkpoints(until: str, first: str) -> None:
    text = f"step_1_a: {first}\nstep_2_b: {{depends_on: [{{step: 1, until: {until}}}], main: {{script: a}}}}\n"
    with pytest.raises(DefinitionError, match=r"depends_on\[0\].until: step 1 is no job, it can only be finished"):
        plan_of(text)


def test_a_step_may_wait_for_the_start_of_a_job() -> None:
    gate = "step_2_b: {depends_on: [{step: 1, until: started}], main: {script: a}}\n"
    assert problems(f"{job('gpu: true')}{gate}") == []


@pytest.mark.parametrize("main", ["runner: agent", "agent: a", "agent: a, runner: host"])
def test_an_agent_never_is_the_job(main: str) -> None:
    with pytest.raises(DefinitionError, match="an agent never is the job: give it a script or a command"):
        plan_of(f"step_1_a: {{main: {{{main}, mode: background}}}}\n")


@pytest.mark.parametrize("broken", ["5", "x", "{a: 1}", "[5]"])
def test_a_broken_background_is_told_where_another_step_waits_for_it(broken: str) -> None:
    gate = "step_2_b: {depends_on: [{step: 1, until: first_checkpoint}], main: {script: a}}\n"
    assert any("background" in line for line in problems(f"step_1_a: {{{JOB}}}, background: {broken}}}\n{gate}"))


# The founding document


def test_the_founding_monitors_of_step_13_are_built_as_written() -> None:
    step = read_plan((FOUNDING / "steps_1_and_13.yaml").read_bytes(), file="f").step(13)
    assert step.background == (
        Monitor("monitor_loss", "command", "tail -n 1 training_logs/loss.txt", alert_on="error|failed|nan"),
        Monitor("watch_checkpoints", "command", "ls -lht checkpoints/ | head -5", interval_s=120.0),
        Monitor("check_memory", "command", "ps aux | grep train_student | head -1", interval_s=180.0),
    )


def test_the_founding_monitors_of_step_8_are_built_as_written() -> None:
    step = read_plan((FOUNDING / "step_8.yaml").read_bytes(), file="f").step(8)
    texts = ("wc -l teacher_data_*.jsonl", "tail -1 generation.log", "grep ERROR generation.log")
    assert step.background == tuple(map(Monitor, texts, ("command", "check", "alert"), texts))


# settings.notify


@pytest.mark.parametrize(
    ("written", "notifiers"),
    [
        ("json://localhost:8000", [Notifier("url", "json://localhost:8000")]),
        ("env:SLACK_URL", [Notifier("env", "SLACK_URL")]),
        ("{command: ./tell.sh}", [Notifier("command", "./tell.sh")]),
        ("[]", []),
        ("['env:A', json://b]", [Notifier("env", "A"), Notifier("url", "json://b")]),
        ("[{url: json://b, on: [died]}]", [Notifier("url", "json://b", ("died",))]),
        ("[{env: A, on: [alert, recovered]}]", [Notifier("env", "A", ("alert", "recovered"))]),
        ("[{command: a, env: [HF_TOKEN]}]", [Notifier("command", "a", NOTICES, ("HF_TOKEN",))]),
    ],
)
def test_who_is_told(written: str, notifiers: list[Notifier]) -> None:
    text = f"settings: {{notify: {written}}}\n{job('gpu: true')}"
    assert problems(text) == []
    assert plan_of(text).settings.notify == tuple(notifiers)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("me@example.com", "settings.notify: is no URL (scheme://...)"),
        ("[x]", "settings.notify[0]: is no URL (scheme://...)"),
        ("'env:A-B'", "settings.notify: must be the name of an environment variable"),
        ("[{env: 'slack://secret'}]", "settings.notify[0].env: must be the name of an environment variable"),
        ("[{on: [alert]}]", "settings.notify[0]: needs one of url, env, command"),
        ("[{url: a://b, env: A}]", "settings.notify[0]: has url and env: keep one of them"),
        ("[{url: a://b, command: a}]", "settings.notify[0]: has command and url: keep one of them"),
        (
            "[{url: a://b, on: [alarm]}]",
            "settings.notify[0].on[0]: must be alert or recovered or blind or finished or died",
        ),
        ("[{command: a, env: A}]", "settings.notify[0].env: must be a list, got 'A'"),
        ("5", "settings.notify: "),
    ],
)
def test_who_cannot_be_told_is_said(written: str, said: str) -> None:
    text = f"settings: {{notify: {written}}}\n"
    with pytest.raises(DefinitionError) as caught:
        plan_of(text)
    assert said in str(caught.value)
    assert any(said in line for line in problems(text))


@pytest.mark.parametrize("written", ["xoxb-secret", "[{url: xoxb-secret}]", "[{env: xoxb-secret}]"])
def test_no_message_quotes_what_may_be_a_secret(written: str) -> None:
    assert [line for line in problems(f"settings: {{notify: {written}}}\n") if "xoxb" in line] == []


TARGETS = st.sampled_from(["json://a", "slack://b/c"]).map(lambda url: Notifier("url", url)) | st.sampled_from(
    ["A", "B_URL"]
).map(lambda name: Notifier("env", name))
COMMANDS = st.builds(
    lambda command, env: Notifier("command", command, env=tuple(env)),
    st.sampled_from(["./tell.sh", "a | b"]),
    st.lists(st.sampled_from(["HF_TOKEN", "C"]), unique=True),
)
TOLD = st.lists(st.sampled_from(NOTICES), min_size=1, unique=True).map(tuple)


@given(st.lists(st.builds(lambda one, on: one.replace(on=on), TARGETS | COMMANDS, TOLD), max_size=4))
def test_who_is_told_survives_the_cache(notifiers: list[Notifier]) -> None:
    plan = plan_of("step_1_a:\n")
    plan = plan.replace(settings=plan.settings.replace(notify=tuple(notifiers)))
    assert from_cache(json.loads(json.dumps(to_cache(plan)))) == plan


# What is doubtful


def doubts(*written: str) -> list[str]:
    return [line.removeprefix("step_1_a.background") for line in problems(job(*written))]


def test_monitors_of_a_step_that_is_no_job_are_told_to_rest() -> None:
    text = "step_1_a: {main: {command: x, test: none}, background: [{gpu: true}]}\n"
    assert problems(text) == [
        "step_1_a.background: monitors run with mode: background only: give main that mode, or remove them"
    ]


def test_looking_more_often_than_each_second_is_told() -> None:
    assert doubts("gpu: true, interval: 0.5", "disk: ., interval: 1") == [
        "[0].interval: a look every 0.5 s costs the training: 1 s or more is soon enough"
    ]


@pytest.mark.parametrize("action", ["stop", "restart", "{stop: {grace: 5}}"])
@pytest.mark.parametrize("words", ["error|failed", "x|(Error)"])
def test_a_bare_word_that_ends_the_training_is_told(action: str, words: str) -> None:
    [doubt] = doubts(f"task: t, command: x, alert_on: '{words}', on_alert: {action}")
    assert doubt.startswith("[0].on_alert: any line with ")


@pytest.mark.parametrize(
    "written", ["alert_on: 'error|failed'", r"alert_on: '^ERROR: \w+', on_alert: stop", "on_alert: stop"]
)
def test_words_that_end_nothing_pass(written: str) -> None:
    assert doubts(f"command: x, {written}") == []


@pytest.mark.parametrize(
    "url",
    [
        *("json://user:pass1234@host/", "tgram://123456789:abcdefg123456789/99", "https://a.b/hook?token=abc"),
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    ],
)
@pytest.mark.parametrize(("form", "path"), [("'{}'", "settings.notify"), ("[{{url: '{}'}}]", "settings.notify[0]")])
def test_a_password_in_the_plan_is_told(url: str, form: str, path: str) -> None:
    [doubt] = problems(f"settings: {{notify: {form.format(url)}}}\n{job('gpu: true')}")
    assert doubt.startswith(f"{path}: seems to hold a password or token")
    assert url not in doubt


@pytest.mark.parametrize(
    "written", ["json://gpu-node-0123456789.example.com:8000/alerts", "'env:SLACK_URL'", "{command: 'x://a:b@c'}"]
)
def test_what_holds_no_password_passes(written: str) -> None:
    assert problems(f"settings: {{notify: {written}}}\n{job('gpu: true')}") == []


@pytest.mark.parametrize("kind", PROBED)
def test_a_probe_may_take_longer_than_a_command(kind: str) -> None:
    asks = {"gpu": "true", "memory": "true", "process": "true", "progress": "true"}.get(kind, "x")
    assert monitor(f"{kind}: {asks}, timeout: 5m").limit_s == 300
