"""Holds where the cause of a failure is found, and where it is not."""

from __future__ import annotations

import pytest

from executor.checks.failure_cause import cause
from executor.runners.command import judge
from executor.system.run_records import Exit

TB = 'Traceback (most recent call last):\n  File "t.py", line 3\n    x()\n'
TORCHRUN = (
    f"{TB}torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n{'=' * 60}\nt.py FAILED\n{'-' * 60}\n"
    f"Root Cause (first observed failure):\n  exitcode  : 1 (pid: 12)\n{'=' * 60}\n"
)


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        (f"{TB}ValueError: a\n{TORCHRUN}", "ValueError: a"),
        (f"{TB}ValueError: a\n\r  3%|#   | 3/100 [00:00<00:09, 3.1it/s]\x1b[A\n", "ValueError: a"),
        (f"{TB}ValueError: a\n\n{TB}RuntimeError: b\n", "RuntimeError: b"),
        (f"{TB}my.Odd: a\n", "my.Odd: a"),
        (
            "(Worker pid=7, ip=10.0.0.1) RuntimeError: boo\nray.exceptions.RayTaskError(RuntimeError): ray::f()\n",
            "RuntimeError: boo",
        ),
        (f"{TB}E.KeyError: 'a'\nSet the environment variable HYDRA_FULL_ERROR=1 for more.\n", "E.KeyError: 'a'"),
        ("╭── Traceback (most recent call last) ──╮\n│ x │\n╰─────────╯\nValueError: rich\n", "ValueError: rich"),
        ("t: t.c:12: main: Assertion `a' failed.\nAborted (core dumped)\n", "t: t.c:12: main: Assertion `a' failed."),
        (f"{TB}ValueError: got over it\n" + "step\n" * 30 + "accuracy 0.3 is too low\n", "accuracy 0.3 is too low"),
        ("cannot open data\nmake: *** [Makefile:3: train] Error 1\n", "cannot open data"),
        (f"no room\n{'*' * 30}\n", "no room"),
    ],
)
def test_the_cause_is_found_above_what_hides_it(stderr, line):
    assert cause(stderr, "") == line


def test_an_exception_on_stdout_counts_when_stderr_has_none():
    assert cause("wandb: done\n", f"{TB}KeyError: 'loss'\n") == "KeyError: 'loss'"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory.\n" + "x\n" * 9000, "oom"),
        ("openai.RateLimitError: Error code: 429\n" + "x\n" * 9000, "rate_limit"),
        ("step 429 of 5000\n" + "x\n" * 9000, "exit:1"),
        ("short of memory; out of memory is near\n" + "x\n" * 9000, "exit:1"),
    ],
)
def test_a_class_is_seen_far_above_the_end_when_the_words_are_sure(said, kind):
    assert judge(Exit(1), verdict=None, reason="", stderr=said, output="")[1] == kind


@pytest.mark.parametrize("text", ["(" * 300_000, "[rank0]: 10%|##| 1\r" * 20_000, "a" * 300_000, "[" * 300_000])
def test_odd_output_is_no_burden(text):
    assert len(cause(text, "")) <= 200
