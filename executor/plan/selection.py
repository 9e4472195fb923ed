"""Selection of steps by `--step`."""

from __future__ import annotations

import re

from executor.errors import UsageError
from executor.plan.issues import not_defined
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from executor.plan.plan import Plan
    from executor.plan.step_ids import StepId

MAX_SPAN = 1_000_000  # numbers that the ranges of one selection may cover: a step key has six digits
_RANGE = lazy_regex.pattern(r"(\d{1,12})\s*(?:-|\.\.)\s*(\d{1,12})")
_SOME = 6
_FORMS = "write 1, 1-5, 1,3,7-9 or the name of a step"


class Selection(Record):
    """The defined steps that were asked for, in plan order, and the numbers inside ranges that are not defined."""

    numbers: tuple[StepId, ...]
    missing: tuple[StepId, ...] = ()


def select(text: str, plan: Plan, titles: Mapping[StepId, str]) -> Selection:
    """Return the steps of `1`, `1-5`, `1,3,7-9`, a name, or an unambiguous part of a name or title.

    `titles` are those of SPEC.md by number. Raises UsageError for bad syntax, for a step asked for alone that is not
    defined, and when nothing is left.
    """
    if plan.tasks is not None:
        return _of_tasks(text, plan)
    wanted: set[StepId] = set()
    missing: set[StepId] = set()
    span = 0
    for part in text.split(","):
        numbers = _part(part.strip(), plan, titles)
        span += len(numbers)
        if span > MAX_SPAN:
            raise UsageError(f"--step {quoted(text)}: more than {MAX_SPAN} numbers; the last step is {_last(plan)}")
        wanted.update(number for number in plan.raw if number in numbers)
        missing.update(number for number in numbers if number not in plan.raw)
    if not wanted:
        raise UsageError(f"--step {quoted(text)}: no step there is defined; defined: {_some(plan)}")
    return Selection(tuple(sorted(wanted, key=plan.place)), tuple(sorted(missing, key=plan.place)))


def _of_tasks(text: str, plan: Plan) -> Selection:
    """Return the steps of ids, ranges of ids in the order of the document, and names."""
    found: dict[StepId, None] = {}
    for part in map(str.strip, text.split(",")):
        found.update(dict.fromkeys(_tasks_of(part, plan)))
    ordered = sorted(found, key=plan.place)
    wanted = tuple(number for number in ordered if number in plan.raw)
    if not wanted:
        way_out = "define it (do-tasks import FILE --scaffold writes a first form), or give --agent-from-text"
        raise UsageError(f"--step {quoted(text)}: no task there is defined; defined: {_some(plan)}; {way_out}")
    return Selection(wanted, tuple(number for number in ordered if number not in plan.raw))


def _tasks_of(part: str, plan: Plan) -> Iterable[StepId]:
    known = plan.tasks.place if plan.tasks is not None else {}
    if part in known:
        return (part,)
    for found in re.finditer(r"\.\.|-", part):
        first, last = part[: found.start()].strip(), part[found.end() :].strip()
        if first in known and last in known:
            if known[last] < known[first]:
                raise UsageError(f"--step {part} runs backwards; did you mean {last}-{first}")
            return [one for one, place in known.items() if known[first] <= place <= known[last]]
    return (_named(part, plan, {}),)


def _part(part: str, plan: Plan, titles: Mapping[StepId, str]) -> Collection[StepId]:
    if not part:
        raise UsageError(f"--step: a number or name is missing; {_FORMS}")
    ends = _RANGE.fullmatch(part)
    if ends:
        return _range(int(ends[1]), int(ends[2]))
    if re.fullmatch(r"[0-9]+", part):
        return _alone(part, plan, titles)
    return (_named(part, plan, titles),)


def _range(first: int, last: int) -> range:
    if last < first:
        raise UsageError(f"--step {first}-{last} runs backwards; did you mean {last}-{first}")
    if last - first >= MAX_SPAN:
        raise UsageError(f"--step {first}-{last} spans more than {MAX_SPAN} numbers: name the steps you mean")
    return range(first, last + 1)


def _alone(digits: str, plan: Plan, titles: Mapping[StepId, str]) -> range:
    number = int(digits) if len(digits) <= 12 else 10**12  # as long as the ends of a range
    if number in plan.raw:
        return range(number, number + 1)
    if number in titles:
        message = f"step {number} is in the spec ({quoted(titles[number])}) but not defined yet"
        raise UsageError(f"{message}: add step_{number}_<name> to the definitions")
    raise UsageError(not_defined(number, plan.numbers))


def _named(part: str, plan: Plan, titles: Mapping[StepId, str]) -> StepId:
    word = _plain(part)
    names = {number: _plain(slug) for number, (slug, _) in plan.raw.items()}
    exact = [number for number, name in names.items() if word in (name, f"step {number} {name}", f"step {number}")]
    fits = exact or [
        number for number, name in names.items() if word and (word in name or word in _title(number, plan, titles))
    ]
    if not fits:
        near = did_you_mean(part, [slug for slug, _ in plan.raw.values()])
        raise UsageError(f"no step is called {quoted(part)}{near or f'; {_FORMS}'}")
    if len(fits) > 1:
        some = ", ".join(f"{number} ({plan.raw[number][0]})" for number in fits[:_SOME])
        raise UsageError(f"{quoted(part)} fits {len(fits)} steps: {some}{', ...' if len(fits) > _SOME else ''}")
    return fits[0]


def _title(number: StepId, plan: Plan, titles: Mapping[StepId, str]) -> str:
    return _plain(f"{titles.get(number, '')} {plan.title(number)}")


def _plain(text: str) -> str:
    return " ".join(re.split(r"[\s_-]+", text.casefold())).strip()


def _last(plan: Plan) -> str:
    return str(plan.numbers[-1]) if plan.raw else "none"


def _some(plan: Plan) -> str:
    numbers = ", ".join(map(str, plan.numbers[:_SOME]))
    return (f"{numbers}, ..., {_last(plan)}" if len(plan.raw) > _SOME else numbers) or "none"


def ranges(numbers: Collection[StepId]) -> str:
    """Return the steps as a person would write them: 1-3, 7; other ids as they are given."""
    texts = [one for one in numbers if isinstance(one, str)]
    spans: list[list[int]] = []
    for number in sorted(one for one in numbers if isinstance(one, int)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join((*(str(low) if low == high else f"{low}-{high}" for low, high in spans), *texts))
