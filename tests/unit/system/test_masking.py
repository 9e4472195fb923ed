"""Secret values never leave, in whatever form; everything else does."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.system.masking import Masker, StreamMasker
from executor.system.secret_values import secrets_of, without_secrets
from executor.system.text import clean_control

if TYPE_CHECKING:
    from collections.abc import Callable

STRONG = "tml-Zq7Xw2Lk9Vb4Rt1Yp6"
WEAK = 'pa ss/w+rd?"x'


def streamed(masker: Masker, data: bytes, sizes: list[int]) -> bytes:
    stream, shown, at = StreamMasker(masker), b"", 0
    for size in sizes:
        shown += stream.feed(data[at : at + size])
        at += size
    return shown + stream.feed(data[at:]) + stream.flush()


# What is secret


@pytest.mark.parametrize("name", ["TINKER_API_KEY", "hf_token", "Client_Secret", "DB_PASSWORD", "KEY"])
def test_a_value_is_secret_by_the_end_of_its_name(name: str) -> None:
    assert secrets_of({name: "correct horse"}) == ("correct horse",)


@pytest.mark.parametrize("name", ["KEYBOARD", "MAX_TOKENS", "PATH", "SECRET_NAME"])
def test_other_names_hold_no_secret(name: str) -> None:
    assert secrets_of({name: "correct horse"}) == ()


@pytest.mark.parametrize(
    "value", ["short12", "/etc/ssl/key.pem", "~/.ssh/id_rsa", "./key.pem", "12345678", "-1234.5678", ""]
)
def test_short_values_paths_and_numbers_are_no_secrets(value: str) -> None:
    assert secrets_of({"A_KEY": value}) == ()


def test_secrets_come_once_with_the_longest_first() -> None:
    assert secrets_of({"A_KEY": "abcdefgh", "B_KEY": "abcdefghi\n", "C_KEY": "abcdefgh"}) == ("abcdefghi", "abcdefgh")


def test_an_environment_without_secrets_keeps_the_rest() -> None:
    environ = {"A_KEY": STRONG, "URL": f"http://me:{STRONG}@host", "B_KEY": WEAK, "SSH_KEY": "/a/b/c/d/e", "HOME": "/h"}
    assert without_secrets(environ, ("B_KEY",)) == {"B_KEY": WEAK, "SSH_KEY": "/a/b/c/d/e", "HOME": "/h"}


def test_an_allowed_secret_may_be_quoted() -> None:
    environ = {"A_KEY": STRONG, "URL": f"http://me:{STRONG}@host"}
    assert without_secrets(environ, ("A_KEY",)) == environ


# What is masked


def test_without_secrets_nothing_changes() -> None:
    masker = Masker()
    assert (masker.mask("a"), masker.mask_bytes_equal_length(b"a"), streamed(masker, b"abc", [1]), bool(masker)) == (
        "a",
        b"a",
        b"abc",
        False,
    )


@pytest.mark.parametrize("secret", [STRONG, WEAK, "pässwörd", "line one\nline two"])
@pytest.mark.parametrize(
    "form",
    [
        str,
        quote,
        quote_plus,
        lambda value: quote(value, safe=""),
        lambda value: re.sub("%..", lambda found: found[0].lower(), quote(value, safe="")),
        lambda value: json.dumps(value)[1:-1],
        lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    ],
    ids=["as it is", "url", "form", "query", "lower", "json", "json unicode", "base64", "urlsafe unpadded"],
)
def test_a_secret_is_masked_in_every_form(secret: str, form: Callable[[str], str]) -> None:
    assert Masker((secret,)).mask(f"<{form(secret)}>") == "<***>"


@given(st.binary(max_size=12), st.binary(max_size=12), st.sampled_from([STRONG, WEAK]))
def test_a_secret_inside_a_longer_base64_text_is_masked(before: bytes, after: bytes, secret: str) -> None:
    whole = base64.b64encode(before + secret.encode() + after).decode()
    head, _, tail = Masker((secret,)).mask(whole).partition("***")
    # A character of six bits may stay only where it holds a bit of a neighbour.
    first, last = -(-8 * len(before) // 6), 8 * len(before + secret.encode()) // 6
    assert len(head) <= first
    assert len(tail) <= len(whole) - last


@given(st.integers(0, len(STRONG) - 6), st.integers(6, len(STRONG)), st.text("-_ .", max_size=9))
def test_every_part_of_a_strong_secret_is_masked(start: int, length: int, before: str) -> None:
    part = STRONG[start : start + length]
    masked = Masker((STRONG,)).mask(f"{before}<{part}>")
    assert masked == f"{before}<***>"


def test_a_shorter_part_of_a_strong_secret_stays() -> None:
    assert Masker((STRONG,)).mask(STRONG[2:7]) == STRONG[2:7]


@pytest.mark.parametrize("secret", ["correct horse battery staple", "a1b2c3d4e5"])
def test_a_part_of_a_weak_secret_stays(secret: str) -> None:
    assert Masker((secret,)).mask(secret[:8]) == secret[:8]


def test_a_secret_that_begins_another_does_not_save_its_tail() -> None:
    assert Masker(("abcdefgh", "abcdefgh-ijk")).mask("abcdefgh-ijk abcdefgh-") == "*** ***-"


def test_ordinary_text_stays() -> None:
    text = "step 8 of 20: loss 0.71, 5 s\n" * 50
    assert Masker((STRONG, WEAK)).mask(text) == text


def test_bytes_are_masked_at_equal_length() -> None:
    data = b"\xff" + STRONG.encode() + b"\n" + STRONG[3:10].encode() + b"\x80"
    masked = Masker((STRONG,)).mask_bytes_equal_length(data)
    assert masked == b"\xff" + b"*" * len(STRONG) + b"\n" + b"*" * 7 + b"\x80"


# Streams


PIECES = st.lists(
    st.sampled_from([STRONG, STRONG[4:12], STRONG[:5], "abcdefgh", "ab", quote(WEAK), "\n", " ", "text"]), max_size=12
)


@given(PIECES, st.lists(st.integers(0, 30), max_size=12))
def test_a_stream_is_masked_as_a_whole_text_is(pieces: list[str], sizes: list[int]) -> None:
    masker = Masker((STRONG, WEAK, "abcdefgh"))
    text = "".join(pieces)
    assert streamed(masker, text.encode(), sizes).decode() == masker.mask(text)


@given(PIECES, st.lists(st.integers(0, 30), max_size=12))
def test_a_stream_is_masked_across_lines_when_a_secret_has_two(pieces: list[str], sizes: list[int]) -> None:
    masker = Masker(("first line\nsecond", "text\ntext"))
    text = "".join([*pieces, "first line\nsecond", *pieces])
    assert streamed(masker, text.encode(), sizes).decode() == masker.mask(text)


@pytest.mark.parametrize("before", ["", "x", "abcdefghi", "xabcdefghi"])
def test_a_secret_is_masked_wherever_a_stream_is_cut(before: str) -> None:
    masker, longest = Masker(("abcdefghi",)), base64.b64encode(b"abcdefghi").decode()
    text = f"{before}{longest}y"
    shown = {streamed(masker, text.encode(), [cut]).decode() for cut in range(len(text))}
    assert shown == {masker.mask(text)}


def test_a_whole_line_is_shown_at_once() -> None:
    assert StreamMasker(Masker((STRONG,))).feed(b"a line\nand") == b"a line\n"


def test_half_a_secret_is_held_back() -> None:
    shown = StreamMasker(Masker(("correct horse battery",))).feed(b"x" * 99 + b"correct horse")
    assert shown == b"x" * len(shown)


# Terminals


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n模型 🎭", "plain\ttext\n模型 🎭"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;never ended\nnext", "\nnext"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("\x1bcreset\x1b(B", "reset"),
        ("\x1b\x1b[31m[31mtwice", "\\x1b[31mtwice"),
        ("\x9b31mred", "\\x9b31mred"),
        ("one\r\ntwo\rthree", "one\ntwo\\rthree"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("bell\x07 back\x08 nul\x00", "bell\\x07 back\\x08 nul\\x00"),
        ("half \ud83d", "half \\ud83d"),
    ],
)
def test_a_log_does_not_drive_the_terminal(text: str, shown: str) -> None:
    assert clean_control(text) == shown


@given(st.text(st.sampled_from("\x1b[]0;31m\x07\\\n\r\x9b\x9d a\u202e(BP^_?"), max_size=30))
def test_no_control_character_survives(text: str) -> None:
    cleaned = clean_control(text)
    assert not [char for char in cleaned if not char.isprintable() and char not in "\n\t"]


# Parts that stand in any text, and JSON

WORDY = "tml-training-run-0123456789-7f3kQ9xZ"


@pytest.mark.parametrize("text", ["training", "Training of 3", "0.123456", "loss 123456789", "1e-0123"])
def test_a_word_or_a_number_of_a_secret_stays(text: str) -> None:
    assert Masker((WORDY,)).mask(text) == text


@pytest.mark.parametrize("start", [0, 4, 13, 20])
def test_words_beside_the_rest_of_a_secret_go_with_it(start: int) -> None:
    assert Masker((WORDY,)).mask(f"<{WORDY[start:]}>") == "<***>"


@given(st.text(max_size=8), st.integers(0, 60), st.text(max_size=8))
def test_json_stays_json_with_its_numbers(before: str, cut: int, after: str) -> None:
    body = {f"{before}{STRONG}": [0.123456, 1e-05], "n": f"{before}{STRONG[cut % 20 :]}{after}", "Zq7Xw2Lk9": 123456}
    masked = Masker((STRONG, "123456789012")).mask_json(json.dumps(body))
    assert sorted(map(str, json.loads(masked).values())) == sorted(
        str(value) if not isinstance(value, str) else Masker((STRONG,)).mask(value) for value in body.values()
    )
    assert STRONG not in masked


def test_a_secret_spelled_in_escapes_is_found_in_json() -> None:
    spelled = "".join(f"\\u{ord(char):04x}" for char in STRONG)
    assert Masker((STRONG,)).mask_json(f'{{"a": "{spelled}", "b": 1.50}}') == '{"a": "***", "b": 1.50}'


def test_names_that_a_plan_makes_public_stay() -> None:
    text = '{"metrics": {"accuracy": 0.9}, "note": "accuracy"}'
    assert Masker(("accuracy",)).mask_json(text, ("accuracy",)) == text
    assert Masker(("accuracy",)).mask_json(text) == '{"metrics": {"***": 0.9}, "note": "***"}'


@pytest.mark.parametrize("secret", ["nabcdefgh", "00abcdefgh"])
@pytest.mark.parametrize("line", ['{"a": "\\nabcdefgh"}', '{"a": "\\u00abcdefgh"}', '{"a": "\\\\nabcdefgh"}'])
def test_an_escape_is_never_torn(secret: str, line: str) -> None:
    masked = Masker((secret,)).mask_bytes_equal_length(line.encode())
    assert (len(masked), "a" in json.loads(masked)) == (len(line), True)


@pytest.mark.parametrize(
    "form", [repr, lambda text: text.replace("'", "'\\''"), lambda text: json.dumps(text).replace("/", "\\/")]
)
def test_a_secret_is_masked_as_shells_and_programs_quote_it(form: Callable[[str], str]) -> None:
    secret = "it's \\ a/pass\"word"
    assert secret[5:] not in Masker((secret,)).mask(form(secret))
    assert "***" in Masker((secret,)).mask(form(secret))


def test_a_masker_learns() -> None:
    masker = Masker(("abcdefgh",))
    assert masker.mask("abcdefgh ijklmnop") == "*** ijklmnop"
    masker.learn(("ijklmnop",))
    assert masker.mask("abcdefgh ijklmnop") == "*** ***"


@pytest.mark.parametrize(("cut", "shown"), [("…", "***…"), ("...", "***..."), (" stays", "hunter2 stays")])
def test_a_secret_that_a_cut_goes_through_shows_no_half(cut: str, shown: str) -> None:
    assert Masker(("hunter2abc",)).mask(f"by hunter2{cut}") == f"by {shown}"


# Threads


def test_a_secret_that_is_learned_while_another_thread_masks_is_masked_from_then_on() -> None:
    values = [hashlib.sha256(bytes([number])).hexdigest() for number in range(40)]
    masker, ended = Masker(values[:1]), threading.Event()

    def mask() -> None:
        while not ended.is_set():
            masker.mask("a line without any")
            masker.mask_bytes_equal_length(b"a line without any")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    other = threading.Thread(target=mask)
    other.start()
    try:
        for value in values[1:]:
            masker.learn([value])
            assert value not in masker.mask(f"x {value} y")
            assert value.encode() not in masker.mask_bytes_equal_length(f"x {value} y".encode())
    finally:
        ended.set()
        other.join(60)
        sys.setswitchinterval(before)
