"""The form of step_definitions.yaml as JSON Schema, for editors as for `validate`."""

from __future__ import annotations

from executor.plan.issues import ValidationIssue, problem_of
from executor.system.messages import did_you_mean, shown
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from jsonschema.exceptions import ValidationError

    from executor.errors import Problem

STEP_KEY = r"^step_(0|[1-9][0-9]{0,5})_([A-Za-z0-9][A-Za-z0-9_-]*)$"
SIZE = r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([kKmMgGtT]?)(i?)([bB]?)\s*$"
SPAN = r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([smhd])?\s*$"
YEAR_S = 31_536_000

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT}
_SECONDS = {"type": "number", "exclusiveMinimum": 0, "maximum": YEAR_S}
_SPAN_TEXT = {"type": "string", "pattern": SPAN, "examples": ["90s", "5m", "2h"]}
_SPAN = {"anyOf": [{"type": "number", "minimum": 0, "maximum": YEAR_S}, _SPAN_TEXT]}
_SPAN_ABOVE_0 = {"anyOf": [{"type": "number", "minimum": 0.001, "maximum": YEAR_S}, _SPAN_TEXT]}
_TRUE = {"type": "boolean", "enum": [True]}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 10**15}
_AMOUNT = {"type": "number", "minimum": 0}
_SIZE_TEXT = {"type": "string", "pattern": SIZE, "examples": ["100MB", "1GiB"]}
_SIZE = {"anyOf": [{"type": "integer", "minimum": 1}, _SIZE_TEXT]}
_NAMES = {
    "type": "array",
    "items": {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_]*$", "examples": ["HF_TOKEN"]},
}


def _says(base: Mapping[str, Any], description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, **base, **more}


def _mapping(description: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": dict(properties),
        "additionalProperties": False,
        **more,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _list_of(name: str, description: str, **more: Any) -> dict[str, Any]:
    return {"type": "array", "description": description, "items": _ref(name), **more}


def _text_or(mapping: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "anyOf": [_TEXT, mapping]}


_FILE = _text_or(
    _mapping(
        "A glob, with what its files must be.",
        {
            "path": _says(_TEXT, "Path or glob, from the project root."),
            "min_size": _says(_SIZE, 'Each file has at least this many bytes, or a size such as "10KB".'),
            "min_count": _says(_COUNT, "At least this many files match."),
            "newer_than": _says(_TEXT, "Each file is newer than this file."),
            "dir_ok": {"type": "boolean", "description": "A folder counts as a file."},
        },
        required=["path"],
    ),
    "A file or glob that must be there.",
)
_DOTTED = {"type": "string", "pattern": r"^[A-Za-z_]\w*([.:][A-Za-z_]\w*)+$", "examples": ["checks.data.is_clean"]}
_MODULE = _mapping(
    "A module, and the versions that will do.",
    {"module": _TEXT, "version": _says(_TEXT, 'For example ">=1.2,<2".')},
    required=["module"],
)
_CHECK_KINDS = {
    "command": _says(_TEXT, "Run under `bash -o pipefail -c`; exit 0 passes."),
    "env_set": {
        "description": "Environment variables that must hold a value; the value is never printed.",
        "anyOf": [_TEXT, _TEXTS],
    },
    "python_import": {
        "description": 'What the project\'s Python must import: a module, "module>=1.2", {module, version}, or a list.',
        "anyOf": [_TEXT, _MODULE, {"type": "array", "minItems": 1, "items": _text_or(_MODULE, "A module.")}],
    },
    "file": _FILE,
    "disk_free": {
        "description": "Free space, proven by a small write: gigabytes, or {path, min_gb}.",
        "anyOf": [
            _AMOUNT,
            _mapping("Where, and how much.", {"path": _TEXT, "min_gb": _AMOUNT}, required=["min_gb"]),
        ],
    },
    "gpu_free": {
        "description": "GPU memory that nobody uses: gigabytes, true for any, or {min_gb, count, max_utilization}.",
        "anyOf": [
            {"type": "boolean"},
            _AMOUNT,
            _mapping(
                "How much, on how many.",
                {"min_gb": _AMOUNT, "count": _COUNT, "max_utilization": {**_AMOUNT, "maximum": 100}},
            ),
        ],
    },
    "port": {
        "description": "A TCP port that must answer: a number, or {host, port, state: open | free}.",
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 65535},
            _mapping(
                "Which port, and whether something or nothing listens there.",
                {
                    "host": _TEXT,
                    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                    "state": {"type": "string", "enum": ["open", "free"]},
                },
                required=["port"],
            ),
        ],
    },
    "url": _text_or(
        _mapping(
            "A URL, with the answer wanted.",
            {
                "url": _says(_TEXT, "http or https."),
                "status": _says({"type": "integer", "minimum": 100, "maximum": 599}, "HTTP status; default 200."),
                "contains": _says(_TEXT, "Text that the answer must hold."),
                "timeout": _says(_SECONDS, "Seconds; default 10."),
            },
            required=["url"],
        ),
        "A URL that must answer.",
    ),
    "call": {
        "description": "Dotted path of a Python function, run in a child process; what is false or raised fails.",
        "anyOf": [
            _DOTTED,
            _mapping(
                "A function, and its keywords.",
                {"target": _DOTTED, "args": {"type": "object"}},
                required=["target"],
            ),
        ],
    },
}
_NETWORK = {
    "type": "boolean",
    "description": "Whether it has the network where it is contained, after an agent's work; default false.",
}
_CHECK = _mapping(
    "One time-boxed question: exactly one of command, a built-in, call; or prose that cannot run.",
    {
        "task": _says(_TEXT, "Name of the check, in transcript and log."),
        **_CHECK_KINDS,
        **dict.fromkeys(
            ("explore", "verify", "estimate"), _says(_TEXT, "Prose: skipped as not runnable, unless a command follows.")
        ),
        "timeout": _says(_SECONDS, "Seconds, cut at 30."),
        "parallel": {"type": "boolean", "description": "Run beside the others (default), or alone at its place."},
        "when": {
            "type": "string",
            "enum": ["start", "end"],
            "description": "POST of a background step: after the start, or once at its end (default).",
        },
        "env": _says(_NAMES, "Variables that this check needs, secrets too."),
        "network": _NETWORK,
    },
)
_CRITERION = _text_or(
    _mapping(
        "A criterion, bound to at most one check that proves it.",
        {
            "criterion": _says(_TEXT, "What must be true, in words."),
            "file": _FILE,
            "command": _says(_TEXT, "Exit 0 proves it."),
            "matches": _mapping(
                "A regular expression that a file must match.",
                {
                    "file": _says(_TEXT, "File or glob."),
                    "pattern": {"type": "string", "minLength": 1, "description": "Python syntax, line by line."},
                    "flags": {
                        "type": "string",
                        "pattern": "^[imsxa]*$",
                        "examples": ["i"],
                        "description": "Letters of Python's flags.",
                    },
                },
                required=["file", "pattern"],
            ),
            "metric": _mapping(
                "A number of the result file, or of a metrics file.",
                {
                    "name": _TEXT,
                    "file": _says(_TEXT, "Metrics file; default the result file."),
                    **{key: {"type": "number"} for key in ("below", "above", "equals", "min", "max")},
                },
                required=["name"],
                minProperties=2,
            ),
            "result": {
                "description": "The result file must call it met: its name there, or true for the same name.",
                "anyOf": [_TRUE, _TEXT],
            },
            "any_age": {"type": "boolean", "description": "Evidence older than this MAIN counts too."},
            "env": _says(_NAMES, "Secrets that the command needs where it is contained."),
            "network": _NETWORK,
            "at": {
                "type": "string",
                "enum": ["start", "end"],
                "description": "start: a background job counts as started once it is met, too; default end.",
            },
        },
        required=["criterion"],
    ),
    "Prose, or {criterion, and file | command | matches | metric | result}.",
)
_SAMPLE = {
    "description": "How the step is tried small, before MAIN: none, {args, timeout} or {command, timeout}.",
    "anyOf": [
        {"type": "string", "enum": ["none"]},
        _mapping(
            "Arguments instead of --test, or another command.",
            {
                "args": _ref("args"),
                "command": _says(_TEXT, "Run instead of MAIN's own form."),
                "timeout": _says(_SECONDS, "Seconds; default 60."),
            },
        ),
    ],
}
_RETRY = _mapping(
    "How often MAIN is tried, and after what.",
    {
        "attempts": _says(_COUNT, "Attempts in all; default 1.", maximum=100),
        "on": {
            "type": "array",
            "description": "timeout, oom, rate_limit, any, or exit:N; default any: all but a stop by a person.",
            "items": {
                "type": "string",
                "pattern": "^(timeout|oom|rate_limit|any|exit:[0-9]{1,3})$",
                "examples": ["timeout", "oom", "rate_limit", "any", "exit:75"],
            },
        },
    },
)
_LIMITS = {
    "judge": _mapping(
        "How an agent's work is judged.",
        {"rounds": _says(_COUNT, "How often it may hand in; what failed goes back to it. Default 3.", maximum=100)},
    ),
    "sandbox": _mapping(
        "What an agent's shell may reach.",
        {
            "mode": {
                "type": "string",
                "enum": ["auto", "required", "off"],
                "description": "bubblewrap when it is there (auto, the default), nothing without it, or never.",
            },
            "network": {"type": "boolean", "description": "Whether the shell has the network; default false."},
            "environment": {
                "type": "string",
                "enum": ["read-only", "writable"],
                "description": "Whether it may change the project's environment (.venv, PATH); default read-only.",
            },
            "read": _says(_TEXTS, "Paths that it may read beside the allow list: of the home (~/data), .env files."),
            "write": _says(_TEXTS, "Start files that it may make or change, such as AGENTS.md or .gitattributes."),
        },
    ),
    "limits": _mapping(
        "Where an agent is stopped.",
        {
            "turns": _says(_COUNT, "Replies of the model; default that of the role, else 50."),
            "tokens": _says(_COUNT, "Tokens in all, cached ones too."),
            "usd": _says(_AMOUNT, "US dollars; the runner agent needs prices for it."),
            "seconds": _says(_SECONDS, "Seconds of work."),
            "stall": _says(_SECONDS, "Seconds of silence of the model's service; default 120."),
            "command": _says(_SECONDS, "Seconds of one shell command; default 600."),
            "prices": _mapping(
                "US dollars for a million tokens; cache_read is 0.1 of input, cache_write 1.25 of it, if not said.",
                dict.fromkeys(("input", "output", "cache_read", "cache_write"), _AMOUNT),
                required=["input", "output"],
            ),
        },
    ),
    "max_output": _says(_SIZE, 'Bytes, or a size such as "100MB": a run that writes more is stopped. Default 1 GiB.'),
}
_RUNNER = {
    "type": "string",
    "enum": ["command", "agent", "claude-code", "host", "slurm"],
    "description": "Who does MAIN.",
}
_MAIN = _mapping(
    "What the step does.",
    {
        "objective": _says(_TEXT, "The one thing to reach."),
        "script": _says(_TEXT, "Script, looked for at the root, then in scripts/. Either this or command."),
        "command": _says(_TEXT, "Shell command. Either this or script."),
        "args": _ref("args"),
        "inputs": _says(
            _TEXTS, "Files, globs or folders that MAIN reads: a change of one is a change of what MAIN does."
        ),
        "outputs": _says(_TEXTS, "Files, globs or folders that MAIN leaves: one that is gone or changed is told."),
        "agent": _says(_TEXT, "Name of an agent of .claude/agents."),
        "skills": _says(_TEXTS, "Skills of the agent; default [tinker-api], [] for none."),
        "runner": _RUNNER,
        "model": _says(_TEXT, "Model of the agent; default that of its role, of the settings, of ANTHROPIC_MODEL."),
        "env": _says(_NAMES, "Secrets that the agent's shell is given; default none."),
        "env_file": {
            "description": "Files of NAME=value lines whose variables this step alone is given, as secrets.",
            "anyOf": [_TEXT, _TEXTS],
        },
        "test": _SAMPLE,
        "mode": {
            "type": "string",
            "enum": ["normal", "background", "chunked"],
            "description": "Wait for it, detach it, or do it in growing parts.",
        },
        "timeout": _says(_SECONDS, "Seconds of one attempt; of the start-up only in background mode."),
        "retry": _RETRY,
        "success_criteria": _list_of("criterion", "What must be true for a tick."),
        "on_lost": {
            "type": "string",
            "enum": ["rerun", "ask"],
            "description": "When MAIN vanished without an exit code: run it again, or ask.",
        },
        "chunks": {
            "type": "array",
            "minItems": 1,
            "description": "Sizes of the parts, for mode: chunked.",
            "items": _mapping("One part.", {"size": _COUNT}, required=["size"]),
        },
        "rows": _says(_TEXT, "The JSON Lines file that a chunk writes, {chunk} being its number, for mode: chunked."),
        "checkpoint_every": _says(_COUNT, "Rows after which the script should make sure that they are on disk."),
        "quality_check": _list_of("check", "Checks between two chunks."),
        **_LIMITS,
    },
)


def _rule(says: str, *arguments: str) -> dict[str, Any]:
    value = {"description": "Number, or text with a unit; see the reference.", "type": ["number", "string"]}
    known = _mapping("Its arguments, as far as they are not left at their defaults.", dict.fromkeys(arguments, value))
    return {"description": says, "anyOf": [_TEXT, {"type": "number"}, _TRUE, known]}


_RULES = {  # held to rules.RULES, which is not imported here: a read verb needs no rule
    "nan": _rule("A metric is NaN or infinite: at once.", "metric", "clear"),
    "divergence": _rule(
        "The loss stays far above its own moving baseline.",
        "times",
        "spreads",
        "warmup",
        "window",
        "patience",
        "clear",
        "metric",
    ),
    "plateau": _rule(
        "The smoothed metric got no better for so many steps.", "patience", "min_delta", "warmup", "metric", "better"
    ),
    "stall": _rule("No progress for so many times the slowest recent interval.", "times", "floor", "warmup"),
    "checkpoint_age": _rule(
        "The newest checkpoint is too old: by a time, or by times the slowest interval between two.",
        "limit",
        "times",
        "floor",
        "warmup",
    ),
    "disk_hours_left": _rule(
        "The disk will be full within so many hours, or takes nothing any more.", "limit", "floor", "window"
    ),
    "overfit": _rule(
        "The validation loss rises over its best while the training loss falls.",
        "patience",
        "min_delta",
        "metric",
        "train",
    ),
    "rss_growth": _rule("The memory of the processes grows and grows.", "share", "floor", "warmup", "window"),
    "throughput_drop": _rule(
        "Progress is slower than a share of what was usual.", "share", "window", "patience", "clear"
    ),
}
_RULE = {
    "description": "A rule by its name, as {name: its main argument}, or as {name: {argument: value, ...}}.",
    "anyOf": [
        {"type": "string", "enum": [*_RULES]},
        _mapping("One rule with what it takes.", _RULES, minProperties=1, maxProperties=1),
    ],
}
_ACTION = {
    "description": "What an alert does beside being told; default notify: nothing more.",
    "anyOf": [
        {"type": "string", "enum": ["notify", "stop", "restart", "block"]},
        _mapping(
            "Exactly one of stop, restart and command, with its bounds.",
            {
                "stop": _mapping(
                    "End the job: TERM, a grace, KILL, on all its processes.",
                    {"grace": _says(_SPAN, "From TERM to KILL; default 10 s.")},
                ),
                "restart": _mapping(
                    "Stop the job, then start it again.",
                    {
                        "from": {
                            "type": "string",
                            "enum": ["latest_checkpoint"],
                            "description": "Needs a checkpoints monitor, or a criterion bound to a checkpoint.",
                        },
                        "attempts": _says(_COUNT, "Restarts in all; default 2.", maximum=100),
                        "backoff": _says(_SPAN, "Wait before the first, doubled for each further one; default 30 s."),
                        "grace": _says(_SPAN, "From TERM to KILL; default 10 s."),
                    },
                ),
                "command": _says(_TEXT, "Run under `bash -o pipefail -c`, once for each alert raised."),
            },
            minProperties=1,
            maxProperties=1,
        ),
    ],
}
_PROBED = {
    "metrics": _text_or(
        _mapping(
            "A metrics file, and how to read it.",
            {
                "file": _says(_TEXT, "File, glob, or folder of TensorBoard event files."),
                "step": _says(_TEXT, "Column that counts the steps; default step."),
                "total": _says({"type": "number", "exclusiveMinimum": 0}, "Steps in all, for the ETA."),
                "columns": _says(_TEXTS, "Names of the columns, where the file has none."),
                "format": {
                    "type": "string",
                    "enum": ["jsonl", "csv", "columns", "tensorboard"],
                    "description": "Default: what the file looks like.",
                },
            },
            required=["file"],
        ),
        "Metrics of the training: JSON Lines, CSV, columns, or TensorBoard event files.",
    ),
    "checkpoints": _text_or(
        _mapping(
            "Which files, and how big they are at least.",
            {"path": _says(_TEXT, "Glob."), "min_bytes": _says(_COUNT, "A smaller one is not whole.")},
            required=["path"],
        ),
        "Glob of the checkpoints.",
    ),
    "log": _text_or(
        _mapping(
            "Which file, and which of its lines.",
            {
                "file": _says(_TEXT, "Log file; stdout and stderr are the job's own."),
                "match": _says(_TEXT, "Regular expression, in any case: the last line that matches is shown."),
            },
            required=["file"],
        ),
        "Log file: what is new in it, and its growth.",
    ),
    "disk": _text_or(
        _mapping(
            "Where, and whether a small write is tried.",
            {"path": _says(_TEXT, "Any path on the disk."), "write": {"type": "boolean", "description": "Write too."}},
            required=["path"],
        ),
        "Path whose free space is watched.",
    ),
}
_MONITOR = _mapping(
    "A probe on a schedule, with rules over what it sees; exactly one key says what it looks at.",
    {
        "task": _says(_TEXT, "Name, in alerts and log; default its command, or the key that says what it looks at."),
        "command": _says(_TEXT, "Run under `bash -o pipefail -c`; its output is the sample, for alert_on."),
        "monitor": _says(_TEXT, "Short form of command."),
        "check": _says(_TEXT, "A command that alerts when it fails twice in a row."),
        "alert": _says(_TEXT, "A command that alerts when it exits 0 with output."),
        **_PROBED,
        "progress": _says(_TRUE, "true: what the job says of its progress on stdout."),
        "process": _says(_TRUE, "true: life, CPU and memory of all processes of the job."),
        "memory": _says(_TRUE, "true: memory of the machine, and out-of-memory kills."),
        "gpu": {
            "description": "GPUs in use: true for all, or the index of one.",
            "anyOf": [_TRUE, {"type": "integer", "minimum": 0}],
        },
        "call": {
            **_CHECK_KINDS["call"],
            "description": "A Python function, called as for checks; alerts as check does.",
        },
        "rules": _list_of("rule", "Conditions over what is seen; each kind once."),
        "interval": _says(_SPAN_ABOVE_0, "From one look to the next; default 60 s."),
        "timeout": _says(_SPAN_ABOVE_0, "Of one look; default 30 s, which is the most for commands and call."),
        "grace": _says(_SPAN, "How long there may be nothing to see before that is an alert; default for ever."),
        "alert_on": {
            "type": "string",
            "minLength": 1,
            "description": "Regular expression, in any case, for command, monitor and log; a bare nan is a whole word.",
        },
        "on_alert": _ACTION,
        "at_end": {
            "type": "string",
            "enum": ["fail", "note"],
            "default": "fail",
            "description": "What a nan or divergence alert that stands at the end does: fail the step, or a note.",
        },
        "env": _says(_NAMES, "Secrets that this monitor needs; it is given no others."),
    },
    minProperties=1,
)
_NOTIFIER_MAPPING = _mapping(
    "Who is told, and of what; exactly one of url, env and command.",
    {
        "url": _says(_TEXT, "URL that apprise knows, without secrets: those go into env."),
        "env": {
            "description": "Variable that holds the URL; beside command: variables with secrets that it needs.",
            "anyOf": [_TEXT, _TEXTS],
        },
        "command": _says(_TEXT, "Run under `bash -o pipefail -c`, with DO_TASKS_NOTICE, DO_TASKS_MESSAGE and more."),
        "on": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "enum": ["alert", "recovered", "blind", "finished", "died"]},
            "description": "The notices it wants; default all.",
        },
    },
    minProperties=1,
)
_NOTIFIER = {
    "description": "Who is told: a URL that apprise knows, env:NAME of a variable that holds one, or a mapping.",
    "anyOf": [{**_TEXT, "examples": ["env:SLACK_URL"]}, _NOTIFIER_MAPPING],
}
_STEP = {
    **_mapping(
        "One numbered entry of the plan.",
        {
            "title": _says(_TEXT, "One line; default the name in the key."),
            "depends_on": _list_of("edge", "Steps that must be done first: a gate."),
            "pre_flight": _list_of("check", "Checks before anything runs."),
            "main": _MAIN,
            "post_validation": _list_of("check", "Checks of what MAIN left."),
            "background": _list_of("monitor", "Monitors of the job."),
        },
    ),
    "type": ["object", "null"],
}
_EDGE = {
    "description": "A step number, or {step, until}.",
    "anyOf": [
        {"type": "integer", "minimum": 0},
        _mapping(
            "A step, and how far it must have come.",
            {
                "step": {"type": "integer", "minimum": 0},
                "until": {"type": "string", "enum": ["started", "first_checkpoint", "finished"]},
            },
            required=["step"],
        ),
    ],
}
_SETTINGS = _mapping(
    "What holds for the whole plan.",
    {
        "version": {"type": "integer", "enum": [1], "description": "Version of this format."},
        "runner": _RUNNER,
        "model": _says(_TEXT, "Model of agents whose role names none."),
        "python": _says(
            _TEXT, "Interpreter of the scripts; default that of the active environment, see: do-tasks doctor."
        ),
        "strict": {"type": "boolean", "description": "Tick only what is proven."},
        "on_change": {
            "type": "string",
            "enum": ["note", "reopen"],
            "description": "What is ticked and changed since: say so (note), or run it again with --continue (reopen).",
        },
        "protect": _says(_TEXTS, "Globs that no agent may change."),
        "log_processors": _says(
            _TEXTS, "Functions (module.function) that add fields to events of the log; default none."
        ),
        "env": _says(_NAMES, "Variables that commands get; default all."),
        "max_parallel": _says(_COUNT, "Checks side by side; default 3.", maximum=64),
        "notify": {
            "description": "Who is told of alerts, recoveries and ends of jobs: one, or a list.",
            "anyOf": [_TEXT, _NOTIFIER_MAPPING, {"type": "array", "items": _ref("notifier")}],
        },
        **_LIMITS,
    },
)
PLAN_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "step_definitions.yaml",
    "description": "How each step of a plan is checked, tried small, done, verified and watched.",
    "type": "object",
    "properties": {"settings": _SETTINGS},
    "patternProperties": {STEP_KEY: _ref("step"), "^x-": True},
    "additionalProperties": False,
    "$defs": {
        "step": _STEP,
        "edge": _EDGE,
        "check": _CHECK,
        "criterion": _CRITERION,
        "monitor": _MONITOR,
        "rule": _RULE,
        "notifier": _NOTIFIER,
        "args": {
            "type": "array",
            "description": "Arguments, as they are written; quote numbers with a point.",
            "items": {"type": ["string", "integer"]},
        },
    },
}
_NOUNS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
_SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def schema_problems(data: object, file: str) -> list[Problem]:
    """Return every way in which data departs from PLAN_SCHEMA, by path; lines are not known here."""
    return [problem_of(flaw, file) for flaw in schema_flaws(data)]


def schema_flaws(data: object) -> list[ValidationIssue]:
    """Return every departure from PLAN_SCHEMA; data holds only what `loader.load` returns."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(PLAN_SCHEMA)
    return [flaw for error in validator.iter_errors(data) for flaw in _flaws(error)]


def _flaws(error: ValidationError) -> Iterator[ValidationIssue]:
    if error.validator == "anyOf":
        yield from _flaws_of_the_branch_meant(error)
    elif error.validator == "additionalProperties":
        yield from _unknown_keys(error)
    else:
        said = _SAYINGS.get(str(error.validator), _as_jsonschema_says)
        yield ValidationIssue(tuple(error.absolute_path), said(error))


def _flaws_of_the_branch_meant(error: ValidationError) -> Iterator[ValidationIssue]:
    """Report on the branch whose type fits, or name the types when none does."""
    branches: dict[int | str, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    meant = [inners for inners in branches.values() if not any(map(_is_of_another_type, inners))]
    if meant:
        yield from (flaw for inner in meant[0] for flaw in _flaws(inner))
        return
    schemas: Any = error.validator_value
    nouns = " or ".join(_NOUNS[schema["type"]] for schema in schemas)
    yield ValidationIssue(tuple(error.absolute_path), f"must be {nouns}, got {shown(error.instance)}")


def _is_of_another_type(inner: ValidationError) -> bool:
    return inner.validator == "type" and not inner.relative_path


def _unknown_keys(error: ValidationError) -> Iterator[ValidationIssue]:
    schema: Any = error.schema
    instance: Any = error.instance
    known = list(schema["properties"])
    for key in instance:
        if key not in known and not any(_matches(pattern, key) for pattern in schema.get("patternProperties", ())):
            yield ValidationIssue((*error.absolute_path, key), unknown_key(key, known))


def _matches(pattern: str, key: str) -> bool:
    import re

    return re.search(pattern, key) is not None


def unknown_key(key: str, known: list[str]) -> str:
    """Say that a key is unknown, with the nearest known one, or all of them when none is near."""
    names = ", ".join(known)
    return f"unknown key {shown(key)}{did_you_mean(key, known) or f'; known: {names}'}"


def _wrong_type(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    nouns = " or ".join(_NOUNS[one] for one in ([wanted] if isinstance(wanted, str) else wanted))
    switch = _SWITCHES.get(str(error.instance).lower()) if wanted == "boolean" else None
    return f"must be {nouns}, got {shown(error.instance)}{f'; write {switch}' if switch else ''}"


def _wrong_choice(error: ValidationError) -> str:
    choices: Any = error.validator_value
    names = [shown(choice) if not isinstance(choice, str) else choice for choice in choices]
    return f"must be {' or '.join(names)}, got {shown(error.instance)}{did_you_mean(str(error.instance), names)}"


def _wrong_form(error: ValidationError) -> str:
    schema: Any = error.schema
    return f"{shown(error.instance)} has not the right form: write, for example, {' or '.join(schema['examples'])}"


def _missing_keys(error: ValidationError) -> str:
    instance: Any = error.instance
    wanted: Any = error.validator_value
    return f"needs {', '.join(key for key in wanted if key not in instance)}"


def _too_few_keys(error: ValidationError) -> str:
    least: Any = error.validator_value
    return "must not be empty" if least == 1 else f"needs at least {least} keys"


def _too_many_keys(error: ValidationError) -> str:
    instance: Any = error.instance
    return f"has {' and '.join(map(shown, instance))}: keep one of them"


def _as_jsonschema_says(error: ValidationError) -> str:
    return error.message if len(error.message) <= 120 else f"{error.message[:120]}..."


_SAYINGS: Mapping[str, Callable[[ValidationError], str]] = {
    "type": _wrong_type,
    "enum": _wrong_choice,
    "required": _missing_keys,
    "pattern": _wrong_form,
    "minimum": lambda error: f"must be at least {error.validator_value}, got {error.instance}",
    "maximum": lambda error: f"must be at most {error.validator_value}, got {error.instance}",
    "exclusiveMinimum": lambda error: f"must be above {error.validator_value}, got {error.instance}",
    "minLength": lambda _: "must not be empty",
    "minItems": lambda _: "must not be empty",
    "minProperties": _too_few_keys,
    "maxProperties": _too_many_keys,
}
