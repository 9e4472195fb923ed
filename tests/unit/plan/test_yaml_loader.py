"""What a plan may hold as YAML, and what is refused with its line and column."""

from __future__ import annotations

import gc

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import DefinitionError
from executor.plan.yaml_loader import load, positions


def loaded(text: str) -> object:
    return load(text.encode(), file="plan.yaml")


def refused(data: str | bytes) -> list[str]:
    with pytest.raises(DefinitionError) as caught:
        load(data.encode() if isinstance(data, str) else data, file="plan.yaml")
    return [str(problem) for problem in caught.value.problems]


ODDLY_PLAIN = [
    "on",
    "off",
    "yes",
    "no",
    "y",
    "1:30",
    "007",
    "0x1f",
    "0o17",
    "1_000",
    "2026-11-22",
    ".inf",
    ".nan",
    "+1",
]


@pytest.mark.parametrize("word", ODDLY_PLAIN)
def test_what_yaml_1_1_would_have_changed_stays_text(word: str) -> None:
    assert loaded(f"{word}: 1\n{word}b: {word}") == {word: 1, f"{word}b": word}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("true", True), ("False", False), ("null", None), ("~", None), ("", None)],
        *[("0", 0), ("-12", -12), ("1.5", 1.5), ("-.5", -0.5), ("1e-4", 1e-4), ("6.", 6.0)],
    ],
)
def test_a_plain_core_scalar_means_what_it_says(text: str, value: object) -> None:
    found = loaded(f"a: {text}")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize("quoted", ["'true'", '"12"', "'~'", '"1.5"', "''"])
def test_a_quoted_scalar_is_text(quoted: str) -> None:
    assert loaded(f"a: {quoted}") == {"a": quoted[1:-1]}


def test_a_block_scalar_is_text() -> None:
    assert loaded("a: |\n  12\n") == {"a": "12\n"}


def test_an_empty_file_is_nothing() -> None:
    assert loaded("# only a comment\n") is None


def test_a_bom_is_skipped() -> None:
    assert load(b"\xef\xbb\xbfa: 1\n", file="plan.yaml") == {"a": 1}


def test_an_alias_repeats_its_anchor() -> None:
    assert loaded("a: &x [1, &y 2]\nb: *x\nc: *y") == {"a": [1, 2], "b": [1, 2], "c": 2}


def test_a_merge_key_gives_way_to_what_is_written() -> None:
    text = "x-d: &d {a: 1, b: 2}\nx-e: &e {a: 9, c: 3}\ns:\n  b: 5\n  <<: [*d, *e]\n"
    assert loaded(text)["s"] == {"b": 5, "a": 1, "c": 3}


def test_a_merge_changes_nothing_in_its_source() -> None:
    assert loaded("x-d: &d {a: 1}\ns: {<<: *d, b: 2}")["x-d"] == {"a": 1}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert loaded("'<<': 1") == {"<<": 1}


def test_a_merge_of_text_is_refused() -> None:
    assert refused("a: {<<: text}") == ["plan.yaml:1:9: a: << takes an alias of a mapping, or a list of them"]


def test_a_doubled_key_is_told_where_it_stands_again() -> None:
    assert refused("a:\n  b: 1\n  c: 2\n  b: 3\n") == [
        "plan.yaml:4:3: a: key 'b' stands twice in one mapping: remove one"
    ]


def test_all_doubled_keys_and_tags_are_told_at_once() -> None:
    problems = refused("a: !x 1\na: !!python/object:os.system {}\n12: x\n")
    assert [problem.split(": ")[0] for problem in problems] == [
        *("plan.yaml:1:4", "plan.yaml:2:1", "plan.yaml:2:4", "plan.yaml:3:1")
    ]


@pytest.mark.parametrize(
    "tag", ["!x 1", "!!int '1'", "!!python/name:os.system ''", "!!set {a}", "! 1", "!<tag:x,1:y> []"]
)
def test_every_tag_is_refused(tag: str) -> None:
    assert "is refused: a plan is plain data" in refused(f"a: {tag}")[0]


@pytest.mark.parametrize("key", ["1", "1.5", "true", "null", "~"])
def test_a_key_that_is_no_text_is_refused(key: str) -> None:
    assert refused(f"{key}: x") == [f"plan.yaml:1:1: key '{key}' is not text: quote it"]


@pytest.mark.parametrize("key", ["? [a]\n: b", "? {a: b}\n: c", "{a: 1}: 2", "&a x: 1\n*a : 2"])
def test_a_key_that_is_no_scalar_is_refused(key: str) -> None:
    assert "key" in refused(key)[0]


def test_a_second_document_is_refused() -> None:
    assert refused("a: 1\n---\nb: 2\n")[0].startswith("plan.yaml:2:1: second document")


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "aliases repeat more than 100000 values" in refused("\n".join(lines))[0]


def test_a_merge_bomb_is_refused() -> None:
    keys = ", ".join(f"k{n}: 0" for n in range(2_000))
    assert "aliases repeat more" in refused(f"a: &a {{{keys}}}\nb:\n" + "  - {<<: *a}\n" * 100)[0]


def test_many_honest_aliases_load() -> None:
    steps = "".join(f"step_{n}_s: {{<<: *d}}\n" for n in range(5_000))
    assert len(loaded(f"x-d: &d {{a: 1, b: [1, 2]}}\n{steps}")) == 5_001


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}"])
def test_an_alias_of_itself_is_refused(text: str) -> None:
    assert "alias *a stands inside its own anchor" in refused(text)[0]


def test_an_alias_without_an_anchor_is_refused() -> None:
    assert "alias *b has no anchor before it" in refused("a: *b")[0]


@pytest.mark.parametrize("text", ["[" * 50_000, "- " * 50_000, "{a: " * 1_000])
def test_deep_nesting_is_refused(text: str) -> None:
    assert "nested deeper than 64 levels" in refused(text)[0]


def test_depth_that_hides_behind_aliases_is_refused() -> None:
    floors = [f"a{n}: &a{n} {'[' * 40}*a{n - 1}{']' * 40}" for n in range(1, 3)]
    assert "nested deeper" in refused("\n".join(["a0: &a0 1", *floors]))[0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"a: \x00\n", "plan.yaml:1:4: control character U+0000 is not allowed"),
        (b"a: 1\nb: \x1b[31m\n", "plan.yaml:2:4: control character U+001B"),
        (b'a: "\\0"\n', "plan.yaml:1:4: a: control character U+0000"),
        (b"a: 1\nb: \xff\n", "plan.yaml:2:4: byte 0xff is not UTF-8"),
        (b"\xff\xfea\x00", "plan.yaml:1:1: byte 0xff is not UTF-8"),
        ("é: \x07".encode(), "plan.yaml:1:4: control character U+0007"),
    ],
)
def test_an_odd_byte_is_one_clear_problem(data: bytes, told: str) -> None:
    problems = refused(data)
    assert len(problems) == 1
    assert problems[0].startswith(told)


@pytest.mark.parametrize("number", ["9" * 19, "9" * 5_000, "1e999", "-1e999"])
def test_a_number_that_not_every_reader_keeps_is_refused(number: str) -> None:
    assert "quote it if it is text" in refused(f"a: {number}")[0]


@pytest.mark.parametrize(
    ("text", "place"), [("a: b: c", "1:5"), ("a: 1\n\tb: 2", "2:1"), ("a: 'x\nb: y", "2:5"), ("a: @x", "1:4")]
)
def test_broken_yaml_is_told_with_its_place(text: str, place: str) -> None:
    assert refused(text)[0].startswith(f"plan.yaml:{place}: ")
    assert "not YAML" in refused(text)[0]


def test_a_refusal_hides_no_earlier_problem() -> None:
    assert len(refused("a: !x 1\nb: [")) == 2


@pytest.mark.parametrize("text", ["a: 1", "a: ["])
def test_the_collector_is_on_again(text: str) -> None:
    try:
        loaded(text)
    except DefinitionError:
        pass
    assert gc.isenabled()


def test_the_collector_stays_off_where_it_was_off() -> None:
    gc.disable()
    try:
        loaded("a: 1")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_positions_name_keys_and_items_from_one() -> None:
    assert positions(b"a:\n  - b: 1\n    c: [x, y]\nd: &x {e: 1}\nf: *x\n") == {
        ("a",): (1, 1),
        ("a", 0): (2, 5),
        ("a", 0, "b"): (2, 5),
        ("a", 0, "c"): (3, 5),
        ("a", 0, "c", 0): (3, 9),
        ("a", 0, "c", 1): (3, 12),
        ("d",): (4, 1),
        ("d", "e"): (4, 8),
        ("f",): (5, 1),
    }


TEXT = st.text("abxyz _-", min_size=1, max_size=8).map(str.strip).filter(lambda text: text not in ("", "-", "y"))
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(DATA)
def test_what_yaml_dumps_loads_as_it_was(data: object) -> None:
    assert loaded(yaml.safe_dump(data)) == data


@given(DATA.filter(lambda data: isinstance(data, dict | list)))
def test_every_key_and_item_has_a_position(data: object) -> None:
    places = positions(yaml.safe_dump(data).encode())
    assert set(places) == set(paths_in(data, ()))


def paths_in(data: object, path: tuple) -> list[tuple]:
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [one for key, value in pairs for one in ((*path, key), *paths_in(value, (*path, key)))]
