"""Env files as people write them."""

from __future__ import annotations

import pytest

from executor.system.dotenv import parse

ENVIRON = {"HOME": "/h", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=plain", "plain"),
        ("export A=plain", "plain"),
        ("  A = spaced  ", "spaced"),
        ("A=", ""),
        ("A=# no value", ""),
        ("A=x # comment", "x"),
        ("A=x#y", "x#y"),
        ("A=p$ss=w%rd!", "p$ss=w%rd!"),
        ("A='it $HOME ${HOME} \\n'", "it $HOME ${HOME} \\n"),
        ('A="it ${HOME} \\n \\"q\\" \\$x \\\\"', 'it /h \n "q" $x \\'),
        ('A="two\nlines"  # both', "two\nlines"),
        ("A='two\nlines'", "two\nlines"),
        ("A=${HOME}/x", "/h/x"),
        ("A=${NOBODY:-else}", "else"),
        ("A=${EMPTY-else}", "else"),
        ("A=${NOBODY}", ""),
        ("B=1\nA=${B}2", "12"),
        ("A=1\nA=2", "2"),
        ("\ufeffA=bom", "bom"),
        ("# c\n\n   # d\nA=1", "1"),
        ("A=x\r", "x"),
        ("A=it's", "it's"),
    ],
)
@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_a_value_is_read_as_people_mean_it(text: str, value: str, eol: str) -> None:
    found = parse(text.replace("\n", eol) + eol, ENVIRON)
    assert (found.values.get("A"), found.wrong) == (value, ())


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("A=1\njust words\nB=2", 2, "no = behind just"),
        ("A=1\n\nTOKEN\nB=2", 3, "no = behind TOKEN"),
        ('A=1\nC="open\nB=2', 2, "does not end"),
        ("A=1\nC='x' y\nB=2", 2, "text behind the closing quote of C"),
        ("A=1\n9C=x\nB=2", 2, "no NAME=value"),
        ("A=1\nDO_TASKS_STEP=9\nB=2", 2, "is a name of do-tasks"),
        ("A=1\nC=a\0b\nB=2", 2, "has a NUL"),
    ],
)
def test_a_bad_line_is_told_by_its_number_and_the_others_count(text: str, line: int, why: str) -> None:
    found = parse(text, {})
    assert ([one.line for one in found.wrong], why in found.wrong[0].why) == ([line], True)
    assert found.values == {"A": "1", "B": "2"}
