"""Holds the reader of commands: it reads what bash reads, and what it adds changes nothing else."""

from __future__ import annotations

import subprocess

import pytest

from executor.plan.lint.detached import left_behind
from executor.system.shell import bash_command
from executor.system.shell.syntax import parse

READ = [
    "python t.py",
    "python t.py 2>&1 | tee log",
    "a && b || c; d & e",
    "for i in 1 2 3; do python t.py $i & done; wait",
    'if [ -f x ]; then echo a; elif [[ $a =~ ^(x|y)$ && -n "$b" ]]; then echo c; else d; fi',
    'while read -r l; do echo "$l"; done < file > out',
    "cat > f <<END\na & b $1\nEND",
    "cat <<'E' | wc\n$1 it's\nE",
    "cat <<A <<-B\n1\nA\n\t2\n\tB",
    'f() { local x=$1; echo "${x:-a b}"; }; f 1',
    "function g { echo; }",
    'case "$x" in a|b) echo 1;; (c) echo 2;; *) echo 3; esac',
    "case x in\n  a)\n    b & ;;\n  *) c\nesac",
    "x=$(ls | head -1); y=`date`",
    'a=(1 2 "3 4"); echo ${a[@]} ${#a[@]}',
    "diff <(sort a) <(sort b)",
    "echo $((1+2)) $(( (3*4) ))",
    "for ((i=0;i<3;i++)); do echo $i; done",
    "cmd \\\n  --a b \\\n  --c",
    "a &&\n# note\nb",
    'echo "$(echo "$(echo \'a)\')")"',
    "a=$(cat <<EOF\nx | y\nEOF\n)",
    "{ echo a; } 2>&1 | { read x; echo $x; }",
    "echo {1..3} {a,b} a\\ b \\& c # d",
    "coproc python x",
    "! time grep -q x f",
]
UNREAD = ["if a; then b", "a |", "&& b", 'echo "x', "a & & b", "done", "( a", "cat <<E\nx", "x=$(a", "it's"]


def bash_reads(text):
    return subprocess.run(["/bin/bash", "-n", "-c", text], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("text", READ)
def test_what_bash_reads_is_read_and_still_is_with_what_is_added(text):
    written = bash_command.guarded_argv(bash_command.bash_argv(text))
    assert bash_reads(text)
    assert parse(text) is not None
    assert bash_reads(written[written.index("-c") + 1])


@pytest.mark.parametrize("text", UNREAD)
def test_what_is_not_whole_is_not_guessed(text):
    assert parse(text) is None


@pytest.mark.parametrize("text", ["python t.py", "a && b", "python t.py | tee log", "echo 'a; b'", "a > b 2>&1"])
def test_a_command_that_needs_nothing_is_started_as_it_was_written(text):
    assert bash_command.guarded_argv(bash_command.bash_argv(text)) == (*bash_command.SHELL, text)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('a "$1"', True),
        ('a "${@:2}"', True),
        ("a <<E\n$1\nE", True),
        ("a '$1'", False),
        ("a <<'E'\n$1\nE", False),
        ('f() { a "$1"; }; f', False),
        ("a # $1", False),
    ],
)
def test_an_argument_is_placed_where_bash_would_expand_it(text, places):
    script = parse(text)
    assert script is not None
    assert script.places_args is places


@pytest.mark.parametrize(
    "text",
    [
        "a & echo b",
        "(a &)",
        "{ a & }",
        "if a; then b & fi",
        "sudo nohup a &",
        "cd x && nohup a &",
        "eval 'a &'",
        "sh -c '(a &)'",
        "env A=1 setsid -f a",
        "tmux -L s new -d a",
        "screen -d -m a",
        "echo a | at now",
        "systemd-run --user a",
        "start-stop-daemon --start --background --exec a",
        "coproc a",
        "while true; do a; done &",
    ],
)
def test_what_leaves_the_launchers_hands_is_seen(text):
    script = parse(text)
    assert script is not None
    left = left_behind(script)
    assert left is not None
    assert left.certain


@pytest.mark.parametrize(
    "text",
    [
        "server & python t.py",
        "a & p=$!; wait $p",
        "(a & wait)",
        "f() { a & }; f",
        "setsid a",
        "setsid -fw a",
        "tmux new -s t a",
        "systemd-run --scope a",
        "nohup a > log",
        "python -c 'a & b'",
        "a & tail --pid=$! -f log",
    ],
)
def test_what_waits_is_let_alone(text):
    script = parse(text)
    assert script is not None
    assert left_behind(script) is None
