"""Holds commands that start without a shell to what bash would have made of them."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.system.shell import simple_command

SHELLS_OWN = "\t\n\"'$`\\|&;<>()*?[]{}#~!^"
WORD = st.text("abAB019_@%+:,./-", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("true", ("true",)),
        ("ls  -l   data/", ("ls", "-l", "data/")),
        ("python -m pytest --maxfail=1", ("python", "-m", "pytest", "--maxfail=1")),
        ("bin/check 50% a@b", ("bin/check", "50%", "a@b")),
    ],
)
def test_words_alone_need_no_shell(command, words):
    assert simple_command.simple_words(command) == words


@pytest.mark.parametrize("character", [*SHELLS_OWN])
def test_a_character_of_the_shell_needs_it(character):
    assert simple_command.simple_words(f"ls a{character}b") == ()


@pytest.mark.parametrize("command", ["", " ls", "cd data", "echo a", "test -s a", "time ls", "A=1 ls", ". a", "é"])
def test_what_bash_does_itself_needs_it(command):
    assert simple_command.simple_words(command) == ()


def test_every_builtin_and_keyword_of_this_bash_is_known():
    listed = subprocess.run(["/bin/bash", "-c", "compgen -b; compgen -k"], capture_output=True, text=True, check=True)
    plain = {name for name in listed.stdout.split() if simple_command.simple_words(name)}
    assert plain == {"true", "false"}


@settings(max_examples=40)
@given(words=st.lists(WORD | st.text("ab=", min_size=1, max_size=4), max_size=5))
def test_bash_would_have_passed_on_the_same_words(words):
    command = " ".join(["/usr/bin/env", *words])
    shown = subprocess.run(
        ["/bin/bash", "-c", f"set -- {command}; printf '%s\\n' \"$@\""], capture_output=True, text=True, check=True
    )
    assert simple_command.simple_words(command) == tuple(shown.stdout.splitlines())
