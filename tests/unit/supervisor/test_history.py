"""Where a job stands by its log, whoever died in the middle."""

from __future__ import annotations

from executor.supervisor.history import JobHistory, job_history


def line(event, **fields):
    return {"event": event, "status": "info", **fields}


STARTED = line("MainStarted", run="main.1")
RAISED = line("AlertRaised", key="loss/nan", action="restart")
BEGUN = line("AlertActed", key="loss/nan", action="restart", status="started", reason="loss is nan", at=412.0)
ENDED = line("MainFinished", run="main.1", status="cancelled", failure="stopped", reason="to be restarted")
RETRIED = line("MainRetried", run="main.2", failure="alert loss/nan")


def test_a_new_job_has_no_past():
    assert job_history([]) == JobHistory()


def test_an_alert_that_was_raised_and_not_acted_on_is_unheeded():
    assert job_history([STARTED, RAISED]).pending_actions == ("loss/nan",)


def test_an_alert_that_only_notifies_asks_for_nothing():
    assert job_history([STARTED, RAISED | {"action": "notify"}]).pending_actions == ()


def test_an_alert_that_cleared_asks_for_nothing_any_more():
    assert job_history([STARTED, RAISED, line("AlertCleared", key="loss/nan")]).pending_actions == ()


def test_an_ending_that_was_begun_is_seen_through():
    stand = job_history([STARTED, RAISED, BEGUN])
    assert stand.ending == ("restart", "loss/nan", "loss is nan")
    assert stand.restarts == {"loss/nan": 1}
    assert stand.pending_actions == ()


def test_it_still_is_when_the_end_of_the_run_was_logged():
    stand = job_history([STARTED, RAISED, BEGUN, ENDED])
    assert stand.ending[0] == "restart"
    assert (stand.closed, stand.closed_status, stand.closed_class) == ("main.1", "cancelled", "stopped")


def test_a_run_that_was_announced_is_to_follow():
    stand = job_history([STARTED, RAISED, BEGUN, ENDED, RETRIED])
    assert (stand.next_run, stand.ending, stand.retries) == ("main.2", (), 0)


def test_a_run_that_began_has_followed():
    stand = job_history([STARTED, RAISED, BEGUN, ENDED, RETRIED, line("MainStarted", run="main.2")])
    assert (stand.next_run, stand.ending) == ("", ())


def test_retries_are_counted_apart_from_restarts():
    assert job_history([ENDED, RETRIED | {"failure": "oom"}]).retries == 1


def test_a_notice_that_was_begun_is_not_sent_again():
    told = line("NoticeSent", notice="alert loss/nan", status="started")
    assert job_history([RAISED]).pending_notices == ("alert loss/nan",)
    assert job_history([RAISED, told]).pending_notices == ()


def test_who_was_alarmed_is_told_that_it_is_over():
    told = line("NoticeSent", notice="alert loss/nan", status="started")
    assert job_history([RAISED, told, line("AlertCleared", key="loss/nan")]).pending_notices == ("recovered loss/nan",)
