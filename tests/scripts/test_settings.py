"""Which setting wins, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from common import config
from common.errors import Trouble


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("seed: 2\nprompt: {examples: 3}\ndata: from-profile\n")
    return str(path)


def test_a_profile_lies_over_the_defaults(profile):
    settings = config.load(profile, [], {})
    assert (settings.profile, settings.seed, settings.prompt.examples) == ("small", 2, 3)
    assert settings.prompt.min_tokens == 450


def test_the_environment_lies_over_the_profile(profile):
    assert config.load(profile, [], {"DO_TASKS_DATA": "from-environment"}).data == "from-environment"


def test_the_command_line_lies_over_all(profile):
    settings = config.load(profile, ["data=from-line", "seed=5"], {"DO_TASKS_DATA": "from-environment"})
    assert (settings.data, settings.seed) == ("from-line", 5)


def test_the_environment_names_the_profile_unless_the_line_does(profile):
    assert config.load("", [], {"DO_TASKS_PROFILE": profile}).seed == 2
    assert config.load("local", [], {"DO_TASKS_PROFILE": profile}).seed == 17


def test_the_shipped_profiles_load():
    assert config.load("", [], {}).access.service == "none"
    assert config.load("tinker", [], {}).access.service == "tinker"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("prompt.min_token=5", "did you mean prompt.min_tokens?"),
        ("charakter.name=hamlet", "did you mean character.name?"),
        ("seed=many", "seed must be a whole number, got 'many'"),
        ("access.limit_s=true", "access.limit_s must be a number"),
        ("prompt=5", "prompt is a group: write prompt.KEY=value"),
        ("seed", "write key=value"),
        ("=5", "write key=value"),
        ("seed=[1", "its value is not YAML"),
        ("seed.deeper=1", "seed must be a whole number"),
        ("corpus.source={a: 1}", "corpus.source must be text"),
    ],
)
def test_a_wrong_override_is_named_with_its_cure(override, said):
    with pytest.raises(Trouble) as trouble:
        config.load("", [override], {})
    assert said in str(trouble.value)
    assert trouble.value.exit_code == 2


@pytest.mark.parametrize("name", config.AT_LEAST_ONE)
def test_a_count_of_nothing_is_refused(name):
    with pytest.raises(Trouble, match=f"{name} must be 1 or more, got 0"):
        config.load("", [f"{name}=0"], {})


@pytest.mark.parametrize("seeds", ["abc", "[]", "[1, -2]"])
def test_seeds_that_are_no_numbers_are_refused(seeds):
    with pytest.raises(Trouble, match=r"training\.seeds must be whole numbers"):
        config.load("", [f"training.seeds={seeds}"], {})


def test_the_real_service_sees_its_answers_at_most_twice():
    wanted = config.load("tinker", [], {}).training
    assert wanted.steps * wanted.batch <= 2 * 4489  # what step 10 leaves of 5,000 questions


def test_an_unknown_profile_is_told_the_known_ones():
    with pytest.raises(Trouble, match=r"did you mean tinker\?; there are: gemma, local, tinker"):
        config.load("tinkr", [], {})


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "\x00"])
def test_a_broken_profile_is_one_line(tmp_path, content):
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(Trouble) as trouble:
        config.load(str(path), [], {})
    assert "\n" not in str(trouble.value)


def test_an_empty_profile_is_the_defaults(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("")
    assert config.load(str(path), [], {}).seed == 17


def test_a_list_may_be_written_as_one_word():
    assert config.load("", ["held_out=lear"], {}).held_out == ("lear",)


def test_a_number_may_be_text():
    assert config.load("", ["corpus.version=0.6"], {}).corpus.version == "0.6"
