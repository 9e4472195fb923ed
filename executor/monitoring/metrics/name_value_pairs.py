"""Numbers that follow their names in a line: `step=12 loss=0.3`, `iter 12: train loss 0.3`."""

from __future__ import annotations

import re
from math import isfinite, isnan

from executor.monitoring.metrics.number_spelling import CALL, COUNTS, NOT_FINITE, NUMERAL, comma_of, signed
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    Row = dict[str, float]

LONGEST = 1 << 16
PIECE = 4096  # characters that one expression searches
MOST = 512  # pairs of a line
STEPS = (
    "step",
    "global_step",
    "_step",
    "current_steps",
    "current_step",
    "train_step",
    "training_step",
    "optimizer_step",
    "num_updates",
    "global_steps",
    "total_timesteps",
    "num_timesteps",
    "timesteps",
    "timestep",
    "env_steps",
    "env_step",
    "iteration",
    "iterations",
    "iter",
    "iters",
    "update",
    "updates",
    "batch",
    "steps",
    "epoch",
)
PAIR = re.compile(
    rf"""(?:(?<![\w./-])(?P<part>train|training|val|valid|validation|eval|test|dev|best|lowest|min|minimum|previous|prev
      |grad|gradient)
      (?:'s)?[\ _/]{{1,2}})?
    (?<![\w./@-])(?!(?:nan|inf|infinity)\b)(?P<name>[A-Za-z_][\w./@-]{{0,100}})
    (?:["'](?:\s*(?P<colon>[=:])\s*|\s*,\s*)|\s*(?P<equals>:=|[=-]>|→|[=:])\s*|\s+(?P<became>is|was|are|became|becomes)\s+(?=[+-]?(?:nan|inf))|\s+)
    (?:{CALL}|[\[("']){{0,3}}\s{{0,20}}
    (?P<sign>[+-]?)(?P<digits>{NOT_FINITE}|{NUMERAL})(?P<suffix>[kmb%]?)
    (?![\w%]|\.\d|:\d|-\d|,\d|\s?/\s{{0,20}}[a-z])(?P<of>\s?/\s{{0,20}}\d)?""",
    re.IGNORECASE | re.VERBOSE,
)
CAN_BE_NAN = re.compile(
    r"(?i)(loss|norm|lr|ppl|perplexity|grad\w*|acc\w*|score|reward\w*|rate|nll|mse|rmse|mae|kl|elbo|bpb|cost|entropy)$"
)
_BY_THE_WAY = re.compile(
    r"(?i)\b(?:per|total|max(?:imum)?|num(?:ber)?|every|each|warm-?up|accumulation|best|last|sav\w*|found|from|until|next"
    r"|logging|optimi[sz]ation|remaining|of|checkpoint\w*|resum\w*|load\w*|restor\w*|writ\w*|wrote|skip\w*|patience)\b"
    r"[^|=:,;\])]{0,40}$"
)
_HEADS = (
    re.compile(r"^\[(?P<step>\d{1,9})\](?:\s+|#011)(?=[\w'@ .-]{1,80}[:=]\s?[-+.\dni])"),  # XGBoost, LightGBM
    re.compile(r"^(?P<step>\d{1,9}):\s+(?=learn:)"),  # CatBoost
    re.compile(
        r"^.{0,60}\bEpoch\(train\)\s+\[(?P<epoch>\d{1,9})\]\[\s*(?P<batch>\d{1,9})/(?P<batches>\d{1,9})\]"
    ),  # MMEngine
    re.compile(r"^.{0,60}\bIter\(train\)\s+\[\s*(?P<step>\d{1,9})/"),
)
_SETTING = re.compile(r"(?i)(?:^|_)(?:max|min|clip|limit|threshold|best|lowest|target)(?:_|$)")
_IF = re.compile(r"(?i)\b(?:if|when|whenever|whether|unless|until|case)\b.{0,40}$")
_FILE = re.compile(r"\.(?:py|cc?|cpp|cu|rs|go|js|sh|ya?ml|json|txt|log|pt)$")
_LIST = re.compile(r"\[[^\[\]]{0,2000}$")


def pairs(line: str) -> Row:
    """Return the numbers of a line by the names before them, without parts of times, dates, paths and lists."""
    row = _head(line)
    comma = comma_of(line)
    for part, name, value in _found(line[:LONGEST], comma):
        column = f"{part}_{name}" if part and not (part.lower().startswith("train") and _is_step(name)) else name
        if isfinite(row.get(column, 0.0)):
            row[column] = value
    return row


def _head(line: str) -> Row:
    """Return the step that some tools write without a name at the start of a line."""
    for head in _HEADS:
        hit = head.match(line)
        if hit:
            counts = {name: int(digits) for name, digits in hit.groupdict().items()}
            done = counts.get("batch", 0) + (counts.get("epoch", 1) - 1) * counts.get("batches", 0)
            return {"step": float(counts.get("step", done))}
    return {}


def _is_step(name: str) -> bool:
    return name.lower() in STEPS


def _found(line: str, comma: str) -> Iterator[tuple[str, str, float]]:
    for count, hit in enumerate(PAIR.finditer(line)):
        if count >= MOST:
            break
        name, equals = hit["name"], hit["equals"] or hit["colon"]
        is_step = _is_step(name)
        if hit["of"] and not is_step:
            continue
        if is_step and _BY_THE_WAY.search(line, max(0, hit.start() - 60), hit.start("name")):
            continue
        counts = bool(COUNTS.search(name))
        if (hit["suffix"] not in ("", "%") and not counts) or _FILE.search(name):
            continue
        if hit["suffix"] == "%" and line[hit.end() : hit.end() + 1] == "|":  # how far a bar is
            continue
        if _is_first_of_several(line, hit.end()) or (hit["became"] and _IF.search(line, 0, hit.start())):
            continue
        value = signed(hit["sign"], hit["digits"], comma=comma, counts=counts, suffix=hit["suffix"])
        if value is not None and (
            isfinite(value) or _may_be_odd(name, value, is_assigned=bool(equals or hit["became"]))
        ):
            yield hit["part"] or "", name, value


def _may_be_odd(name: str, value: float, *, is_assigned: bool) -> bool:
    """Return True when nan or inf is a measured value: `max_norm=inf` is a setting, `no nan` is prose."""
    if isnan(value):
        return is_assigned or CAN_BE_NAN.search(name) is not None
    return CAN_BE_NAN.search(name) is not None and _SETTING.search(name) is None


def _is_first_of_several(line: str, end: int) -> bool:
    """Return True when a number is in a list with further ones."""
    rest = line[end : end + 20].lstrip()
    return (
        rest.startswith(",")
        and rest[1:2] != ""
        and _LIST.search(line, max(0, end - 100), end) is not None
        and (rest[1:].lstrip()[:1] in "0123456789.-+nNi")
    )
