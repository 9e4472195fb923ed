"""Patterns that may take for ever: told by their text, ended by a limit."""

from __future__ import annotations

import re

import pytest

from executor.monitoring.model import Monitor, Sample
from executor.monitoring.monitor import GIVEN_UP, MonitorState
from executor.system.regex_safety import is_linear, nested_repeat
from executor.system.regex_search import TimedPattern, TooSlowError

SLOW = "(a+)+$"
UNLUCKY = "a" * 64 + "!"


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a*)*b",
        "(.*)*",
        r"(\w+\s?)*$",
        "(?:a+b*)+",
        "((x+))+",
        "(a|b+)*c",
        "(a+){2,}",
        "(a{1,99})*",
        "x|(y*)*",
    ],
)
def test_a_repeat_of_what_repeats_already_is_told(pattern):
    assert nested_repeat(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "error|failed|nan",
        "loss.*nan",
        r"(\s+\w+)+",
        "(ab)+",
        "(a+)?",
        "(a*b)+",
        "(a+){2,5}",
        r"\(a+\)+",
        "[(a+)+]",
        "a{3}b+",
        "(?P<x>a+)b",
        "(?i:nan)",
        "^(?:warn|error): .+$",
        "",
        "(((",
        "a++",
    ],
)
def test_no_other_pattern_is(pattern):
    assert nested_repeat(pattern) == ""


@pytest.mark.parametrize("pattern", ["error|failed", r"\bnan\b", "[a-z]x", "lost?", "a{2,4}", r"a\+b"])
def test_a_pattern_without_an_endless_repeat_is_searched_at_once(pattern):
    assert is_linear(pattern)


@pytest.mark.parametrize("pattern", ["loss.*nan", "a+", "(a|b)*", "x{3,}", SLOW])
def test_any_other_is_searched_under_a_limit(pattern):
    assert not is_linear(pattern)


def test_a_search_that_takes_for_ever_ends():
    with pytest.raises(TooSlowError):
        TimedPattern(re.compile(SLOW)).search(UNLUCKY)
    with pytest.raises(TooSlowError):
        TimedPattern(re.compile(SLOW)).among((UNLUCKY,))
    assert TimedPattern(re.compile("n.*n")).search("an nn")


def test_a_pattern_that_is_too_slow_twice_is_left_out_and_told():
    watched = MonitorState(Monitor("words", "log", "train.log", alert_on=SLOW), {})
    for look in range(GIVEN_UP + 1):
        seen = watched.take(Sample(at_s=float(look), lines=(UNLUCKY,)))
        assert not any(judged.judgement.stands for judged in seen)
    assert "it is left out" in watched.miss(10.0, 0.0, ended=False)["words/alert_on"]
    assert SLOW in watched.troubled


def test_lines_that_are_handed_out_raise_what_they_match():
    watched = MonitorState(Monitor("words", "log", "train.log", alert_on="loss.*nan"), {})
    [judged] = watched.take(Sample(at_s=1.0, lines=("loss 2", "loss = nan")))
    assert judged.judgement.stands
    assert judged.judgement.text == "loss = nan"


def test_the_output_of_a_command_is_searched_under_the_limit():
    watched = MonitorState(Monitor("words", "command", "true", alert_on=SLOW), {})
    assert watched.take_output(0, UNLUCKY, "", 1.0) == []
    assert SLOW in watched.troubled
