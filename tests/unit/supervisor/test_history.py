"""Where a job stands by its log, whoever died in the middle."""

from __future__ import annotations

from executor.supervisor.history import JobHistory, past


def line(event, **fields):
    return {"event": event, "status": "info", **fields}


STARTED = line("MainStarted", run="main.1")
RAISED = line("AlertRaised", key="loss/nan", action="restart")
BEGUN = line("AlertActed", key="loss/nan", action="restart", status="started", reason="loss is nan", at=412.0)
ENDED = line("MainFinished", run="main.1", status="cancelled", failure="stopped", reason="to be restarted")
RETRIED = line("MainRetried", run="main.2", failure="alert loss/nan")


def test_a_new_job_has_no_past():
    assert past([]) == JobHistory()


def test_an_alert_that_was_raised_and_not_acted_on_is_unheeded():
    assert past([STARTED, RAISED]).unheeded == ("loss/nan",)


def test_an_alert_that_only_notifies_asks_for_nothing():
    assert past([STARTED, RAISED | {"action": "notify"}]).unheeded == ()


def test_an_alert_that_cleared_asks_for_nothing_any_more():
    assert past([STARTED, RAISED, line("AlertCleared", key="loss/nan")]).unheeded == ()


def test_an_ending_that_was_begun_is_seen_through():
    stand = past([STARTED, RAISED, BEGUN])
    assert stand.act == ("restart", "loss/nan", "loss is nan")
    assert stand.restarts == {"loss/nan": 1}
    assert stand.unheeded == ()


def test_it_still_is_when_the_end_of_the_run_was_logged():
    stand = past([STARTED, RAISED, BEGUN, ENDED])
    assert stand.act[0] == "restart"
    assert (stand.closed, stand.closed_status, stand.closed_class) == ("main.1", "cancelled", "stopped")


def test_a_run_that_was_announced_is_to_follow():
    stand = past([STARTED, RAISED, BEGUN, ENDED, RETRIED])
    assert (stand.next_run, stand.act, stand.retries) == ("main.2", (), 0)


def test_a_run_that_began_has_followed():
    stand = past([STARTED, RAISED, BEGUN, ENDED, RETRIED, line("MainStarted", run="main.2")])
    assert (stand.next_run, stand.act) == ("", ())


def test_retries_are_counted_apart_from_restarts():
    assert past([ENDED, RETRIED | {"failure": "oom"}]).retries == 1


def test_a_notice_that_was_begun_is_not_sent_again():
    told = line("NoticeSent", notice="alert loss/nan", status="started")
    assert past([RAISED]).untold == ("alert loss/nan",)
    assert past([RAISED, told]).untold == ()


def test_who_was_alarmed_is_told_that_it_is_over():
    told = line("NoticeSent", notice="alert loss/nan", status="started")
    assert past([RAISED, told, line("AlertCleared", key="loss/nan")]).untold == ("recovered loss/nan",)
