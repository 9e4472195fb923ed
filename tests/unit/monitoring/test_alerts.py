"""What stands is raised once, cleared once; what commands say is matched by words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.monitoring import alerts
from executor.monitoring.model import NO_OPINION, WELL, RuleResult

BAD = RuleResult(stands=True, text="loss is nan at step 412", samples=(1.0,))


def played(*judged):
    """Weigh (key, judgement) in turn; return what each brought, and what stands in the end."""
    standing, excused, told = {}, {}, []
    for at, (key, judgement) in enumerate(judged):
        standing, what = alerts.apply(standing, key, judgement, action="stop", now_s=float(at), excused=excused)
        told.append(what)
    return told, standing


def test_an_alert_is_raised_once_and_cleared_once():
    key = "loss/nan"
    told, standing = played(*((key, one) for one in (WELL, BAD, BAD, NO_OPINION, BAD, WELL, WELL, NO_OPINION, BAD)))
    assert told == ["", "raised", "", "", "", "cleared", "", "", "raised"]
    assert standing == {key: alerts.Alert(key, BAD.text, (1.0,), "stop", 8.0)}


def test_alerts_stand_beside_each_other():
    told, standing = played(("a/nan", BAD), ("b/nan", BAD), ("a/nan", WELL))
    assert told == ["raised", "raised", "cleared"]
    assert [*standing] == ["b/nan"]


def test_what_a_standing_alert_explains_is_not_raised_not_even_afterwards():
    late, stalled = "saved/checkpoint_age", "loss/stall"
    told, standing = played((stalled, BAD), (late, BAD), (stalled, WELL), (late, BAD), (late, WELL), (late, BAD))
    assert told == ["raised", "", "cleared", "", "", "raised"]
    assert [*standing] == [late]


def test_what_stood_before_its_explanation_stays():
    assert played(("saved/checkpoint_age", BAD), ("loss/stall", BAD))[0] == ["raised", "raised"]


def test_without_a_memory_only_the_present_explains():
    standing, _ = alerts.apply({}, "loss/nan", BAD, action="stop", now_s=0.0)
    assert alerts.apply(standing, "loss/divergence", BAD, action="stop", now_s=1.0)[1] == ""
    assert alerts.apply({}, "loss/divergence", BAD, action="stop", now_s=1.0)[1] == "raised"


def test_what_stands_is_never_changed_in_place():
    standing = {}
    alerts.apply(standing, "a/nan", BAD, action="stop", now_s=0.0)
    assert standing == {}


@given(st.lists(st.tuples(st.sampled_from(["a/nan", "b/stall"]), st.sampled_from([True, False, None]))))
def test_raised_and_cleared_take_turns(judged):
    told, _ = played(*((key, RuleResult(stands, "x")) for key, stands in judged))
    for key in ("a/nan", "b/stall"):
        turns = [what for what, (other, _) in zip(told, judged, strict=True) if what and other == key]
        assert turns == ["raised", "cleared"] * (len(turns) // 2) + ["raised"] * (len(turns) % 2)


# alert_on

FOUNDING = "error|failed|nan"


@pytest.mark.parametrize(
    "text", ["loss: NaN", "loss=nan", "nan%", "-nan", "412 nan", "NAN", "[nan]", "An Error", "FAILED"]
)
def test_a_bare_nan_is_found_as_a_word(text):
    assert alerts.match(FOUNDING).search(text)


@pytest.mark.parametrize("text", ["finance", "banana", "nano", "is_nan=0", "nan_count 0", "info", "step 412 loss 1.2"])
def test_a_bare_nan_is_quiet_inside_words(text):
    assert not alerts.match(FOUNDING).search(text)


@pytest.mark.parametrize("text", ["-inf", "loss inf", "+Inf,", "Infinity", "1.0 INF"])
def test_a_bare_inf_is_found_as_a_word(text):
    assert alerts.match("nan|inf").search(text)


@pytest.mark.parametrize("text", ["info", "infer", "INFO: well", "inform", "conf.inflate"])
def test_a_bare_inf_is_quiet_inside_words(text):
    assert not alerts.match("nan|inf").search(text)


@pytest.mark.parametrize(
    ("pattern", "finds", "quiet"),
    [
        ("loss: (nan|inf)", "Loss: NaN", "loss: nano"),
        ("loss: (?:nan|inf)%", "loss: NaN%", "loss: nano%"),
        (r"a\|nan", "a|nano", "nan"),
        ("[|nan]x", "nx", "q"),
        ("error | nan", "loss nan", "finance"),
        ("nan loss", "nan loss", "loss nan"),
        ("^failed$", "well\nfailed\n", "it failed"),
    ],
)
def test_only_a_bare_alternative_becomes_a_word(pattern, finds, quiet):
    found = alerts.match(pattern)
    assert found.search(finds)
    assert not found.search(quiet)


@pytest.mark.parametrize("pattern", ["(", "a{9999999999}", "[", "*"])
def test_no_regular_expression_is_refused(pattern):
    with pytest.raises(ValueError, match="is no regular expression"):
        alerts.match(pattern)


@pytest.mark.parametrize("pattern", ["error|", "", "x*", "^$"])
def test_a_pattern_that_finds_nothing_everywhere_is_refused(pattern):
    with pytest.raises(ValueError, match="even where there is nothing"):
        alerts.match(pattern)


@given(st.text("nanif|()\\ ?:x^", max_size=20))
def test_bare_words_leave_the_rest_of_a_pattern_alone(pattern):
    try:
        plain = re.compile(pattern)
    except re.error:
        return
    if not re.search("nan|inf", pattern) and not plain.search(""):
        assert alerts.match(pattern).pattern == pattern


# What commands say


def test_a_match_stands_whatever_the_exit_code():
    for code in (0, 1, None):
        said = alerts.judge_output(alerts.match(FOUNDING), "step 1\nstep 412 loss nan lr 1\nstep 413", code)
        assert said == RuleResult(stands=True, text="'nan' in 'step 412 loss nan lr 1'")


def test_not_there_yet_is_no_alert():
    assert alerts.judge_output(alerts.match(FOUNDING), "", 1) == NO_OPINION
    assert alerts.judge_output(alerts.match(FOUNDING), "", None) == NO_OPINION


def test_output_without_a_match_is_well():
    assert alerts.judge_output(alerts.match(FOUNDING), "412 1.25", 0) == WELL


def test_a_progress_bar_is_shown_by_its_last_state():
    said = alerts.judge_output(alerts.match("nan"), "10%|x| loss=1\r20%|xx| loss=nan\r30%|xxx| loss=2", 0)
    assert said.text == "'nan' in '20%|xx| loss=nan'"


def test_a_long_line_is_cut_around_its_match():
    said = alerts.judge_output(alerts.match("nan"), f"{'x ' * 5000}nan{' y' * 5000}", 0)
    assert len(said.text) < 300
    assert "x nan y" in said.text


def test_a_check_stands_when_it_fails_twice_in_a_row():
    memory = {}
    said = [alerts.judge_check(memory, code).stands for code in (0, 1, 0, 3, None, 2, 0)]
    assert said == [False, None, False, None, True, True, False]


def test_a_check_tells_how_it_failed():
    memory = {}
    alerts.judge_check(memory, 3)
    assert alerts.judge_check(memory, 3).text == "failed 2 times in a row: exit 3"


def test_an_alert_command_stands_on_success_with_output():
    assert alerts.judge_alert(0, "a\nGPU fell off\n\n") == RuleResult(stands=True, text="GPU fell off")
    assert alerts.judge_alert(0, " \n") == alerts.judge_alert(1, "grep: x") == alerts.judge_alert(None, "x") == WELL


def test_a_blind_monitor_stands_only_after_its_written_grace():
    assert alerts.judge_blind(None, False, 1e9, 0.0) == NO_OPINION
    assert alerts.judge_blind(300.0, False, 399.0, 100.0) == NO_OPINION
    assert alerts.judge_blind(300.0, True, 900.0, 100.0) == WELL
    assert alerts.judge_blind(300.0, False, 400.0, 100.0).text == "nothing to see for 5 min since the start"
