"""Holds Record to what a frozen dataclass would do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.system.records import Record


class Point(Record):
    """Two numbers and a name."""

    x: int
    y: int = 2
    name: str = ""


class Place(Point):
    """A point with its name by default, and a field of its own."""

    name: str = "here"
    city: str = "?"


def test_fields_are_taken_by_place_then_by_name():
    assert Point(1, name="a").asdict() == {"x": 1, "y": 2, "name": "a"}


def test_fields_of_a_subclass_follow_and_defaults_are_its_own():
    assert Place(1, city="b").asdict() == {"x": 1, "y": 2, "name": "here", "city": "b"}


@pytest.mark.parametrize(
    ("values", "named"),
    [((), {}), ((1, 2, "a", 4), {}), ((1,), {"z": 3}), ((1,), {"x": 3}), ((), {"y": 1}), ((), {"_fields": ()})],
    ids=["missing", "too many", "unknown", "doubled", "only defaults given", "private"],
)
def test_what_does_not_fit_the_fields_is_refused(values, named):
    with pytest.raises(TypeError):
        Point(*values, **named)


def test_a_value_is_frozen_and_says_what_to_do():
    with pytest.raises(AttributeError, match=r"replace\(x=\.\.\.\)"):
        Point(1).x = 2


def test_replace_leaves_the_first_as_it_was():
    first = Point(1)
    assert (first.replace(y=5), first) == (Point(1, 5), Point(1, 2))


def test_replace_refuses_a_field_that_is_not_there():
    with pytest.raises(TypeError):
        Point(1).replace(z=3)


def test_values_of_two_kinds_are_never_equal():
    assert Point(1, 2, "here") != Place(1, 2, "here", "?")


def test_a_value_shows_its_fields():
    assert repr(Point(1, name="a")) == "Point(x=1, y=2, name='a')"


@given(st.integers(), st.integers(), st.text())
def test_equal_values_have_equal_hashes(x, y, name):
    assert Point(x, y, name) == Point(x, y).replace(name=name)
    assert hash(Point(x, y, name)) == hash(Point(x, y).replace(name=name))
