"""The cost of a query with the prompt and without."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from common import config
from common.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KINDS = ("prompt", "sample", "train")
NEVER = "never at these prices"


@dataclass(frozen=True)
class Price:
    """Dollars for one token that is read (`prompt`), written (`sample`), trained on (`train`)."""

    prompt: float
    sample: float
    train: float


@dataclass(frozen=True)
class Table:
    """A dated list of prices; `source` describes their origin, `checked_by` names the person who checked them."""

    as_of: str
    source: str
    checked_by: str
    models: dict[str, Price]

    def of(self, model: str) -> Price | None:
        """Return a model's price, None if it is unknown; a name in the table may contain *."""
        found = [price for name, price in self.models.items() if fnmatchcase(model, name)]
        return found[0] if found else None


def read_table(path: Path) -> Table:
    """Read a table of scripts/configs/savings/; raise Trouble for a wrong one."""
    content = config.read_yaml(path)
    try:
        per = float(content["per_tokens"])
        models = {str(name): price_of(row, per) for name, row in content["models"].items()}
        return Table(str(content["as_of"]), str(content["source"]), str(content["checked_by"]), models)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        wanted = "as_of, source, checked_by, per_tokens, models: {NAME: {prompt, sample, train}}"
        raise Trouble(f"{path} is no table of prices ({error!r}): it needs {wanted}", USAGE) from error


def price_of(row: Mapping[str, Any], per: float) -> Price:
    """Return dollars for one token of each kind; ValueError when one is no amount."""
    amounts = [float(row[kind]) / per for kind in KINDS]
    if not all(math.isfinite(one) and one >= 0 for one in amounts):
        raise ValueError(f"a price must be 0 or more: {dict(row)}")
    return Price(*amounts)


@dataclass(frozen=True)
class Making:
    """Tokens spent to make a student: read and written by the teacher, trained on by the student."""

    read: int
    written: int
    trained: int

    def dollars(self, teacher: Price, student: Price) -> float:
        """Return the cost in dollars."""
        return self.read * teacher.prompt + self.written * teacher.sample + self.trained * student.train


@dataclass(frozen=True)
class Query:
    """Mean tokens of one query: read, written."""

    read: float
    written: float

    def dollars(self, price: Price) -> float:
        """Return the cost of a query in dollars."""
        return self.read * price.prompt + self.written * price.sample


def break_even(cost: float, saved: float) -> int | None:
    """Return the number of queries after which a cost is recovered; None if it never is."""
    if saved <= 0:
        return None
    return math.ceil(round(cost / saved, 9))


def spread(seconds: Sequence[float]) -> dict[str, Any]:
    """Return median and 90th percentile of durations, in milliseconds."""
    ordered = sorted(seconds)
    ninth = ordered[min(len(ordered) - 1, math.ceil(0.9 * len(ordered)) - 1)]
    return {
        "median": figure(round(1000 * statistics.median(ordered), 2), "milliseconds"),
        "p90": figure(round(1000 * ninth, 2), "milliseconds"),
        "queries": figure(len(ordered), "queries"),
    }


def figure(value: float | None, unit: str) -> dict[str, Any]:
    """Return a figure with its unit."""
    return {"value": value, "unit": unit}


def money(table: Table, models: tuple[str, str], making: Making, queries: tuple[Query, Query]) -> dict[str, Any]:
    """Return the costs of a teacher's query, a student's query and the making; `models` and `queries` in this order."""
    teacher, student = (table.of(model) for model in models)
    head = {"models": list(models), "as_of": table.as_of, "source": table.source, "checked_by": table.checked_by}
    if teacher is None or student is None:
        unknown = [model for model, price in zip(models, (teacher, student), strict=True) if price is None]
        return {**head, "said": f"no price is known of {', '.join(sorted(set(unknown)))}: add it to the table"}
    costs = queries[0].dollars(teacher), queries[1].dollars(student)
    made, saved = making.dollars(teacher, student), costs[0] - costs[1]
    count = break_even(made, saved)
    return {
        **head,
        "query_with_prompt": figure(costs[0], "US dollars"),
        "query_of_student": figure(costs[1], "US dollars"),
        "saved_per_query": figure(saved, "US dollars"),
        "making_the_student": figure(made, "US dollars"),
        "break_even": figure(count, "queries"),
        "said": money_text(costs, count),
    }


def money_text(costs: tuple[float, float], count: int | None) -> str:
    """Return the result in words."""
    if not any(costs):
        return f"the price is zero: {NEVER}, nobody is billed"
    return NEVER if count is None else f"the student has paid for itself after {count:,} queries"
