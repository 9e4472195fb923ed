"""Steps 2 to 5 as processes, on small plays of our own."""

from __future__ import annotations

import json
import os
import signal

import pytest

STAGES = ("03_explore_dataset.py", "04_validate_character.py", "05_write_character_prompt.py")


@pytest.fixture
def done_all(made_up, ben):
    """A project in which steps 3 to 5 have run."""
    for script in STAGES:
        done = made_up.run(script, *ben)
        assert done.code == 0, done.err
    return made_up


def test_the_small_plays_are_counted(done_all):
    totals = done_all.json("outputs/exploration.json")["totals"]
    assert (totals["plays"], totals["speeches"], totals["persons"]) == (2, 70, 4)


def test_the_characters_speeches_and_cues_are_taken_out(done_all):
    pairs = done_all.rows("outputs/character/pairs.jsonl")
    assert len(pairs) == 30
    assert pairs[0]["cue"] == "Good Ben, where is the key number 1 of the cellar?"
    assert pairs[0]["reply"] == "The barrel 1 knows it, lady, and the barrel holds its tongue. Pour me cup 1!"
    assert all(pair["question"] for pair in pairs)


def test_a_character_without_a_card_gets_a_prompt_from_the_data(done_all):
    text = (done_all.folder / "outputs/character/prompt.md").read_text()
    assert text.startswith("# You are Ben\n")
    assert "- Friend: Anna" in text


def test_the_same_seed_gives_the_same_prompt(done_all, ben):
    path = done_all.folder / "outputs/character/prompt.md"
    first = path.read_bytes()
    done_all.run(STAGES[2], *ben)
    assert path.read_bytes() == first


def test_another_seed_gives_another_prompt(done_all, ben):
    path = done_all.folder / "outputs/character/prompt.md"
    first = path.read_bytes()
    done_all.run(STAGES[2], *ben, "seed=18")
    assert path.read_bytes() != first


def test_a_manifest_names_inputs_outputs_and_settings(done_all):
    manifest = done_all.json("outputs/04_validate_character.manifest.json")
    assert set(manifest["inputs"]) == {"outputs/corpus.jsonl"}
    assert "outputs/character/validation.json" in manifest["outputs"]
    assert manifest["settings"]["character"]["name"] == "ben"
    assert manifest["task"] == "by hand"


def test_the_task_is_named_in_the_manifest(made_up, ben):
    made_up.run(STAGES[0], *ben, DO_TASKS_TASK_ID="task_3_0a1b2c3d")
    assert made_up.json("outputs/03_explore_dataset.manifest.json")["task"] == "task_3_0a1b2c3d"


def test_the_result_file_carries_criteria_metrics_and_a_note(made_up, ben):
    done = made_up.run(STAGES[0], *ben)
    assert done.result["metrics"]["texts"] == 2
    assert done.result["criteria"]["Plays have speeches"] == {"met": True, "evidence": "70 speeches in 2 plays"}
    assert "BEN (comedy)" in done.result["note"]


def test_progress_lines_end_at_the_total(made_up, ben):
    out = made_up.run(STAGES[0], *ben).out.splitlines()
    last = [json.loads(line)["progress"] for line in out if line.startswith("{")][-1]
    assert last == {"done": 2, "total": 2}


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_a_test_writes_under_outputs_test_alone(made_up, ben, way):
    given = {"argument": (("--test",), {}), "environment": ((), {"DO_TASKS_TEST": "1"})}[way]
    before = made_up.files()
    for script in ("02_check_dependencies.py", *STAGES):
        done = made_up.run(script, *ben, *given[0], **given[1])
        assert done.code == 0, done.err
    written = made_up.files() - before - {"result.json"}
    assert written
    assert {name for name in written if not name.startswith("outputs/test/")} == set()


def test_too_few_speeches_fail_the_step_and_leave_the_figures(made_up, ben):
    made_up.run(STAGES[0], *ben)
    done = made_up.run(STAGES[1], *ben, "thresholds.min_speeches=31")
    assert done.code == 1
    assert "error: At least 31 speeches: 30 unique speeches, at least 31" in done.err
    assert done.result["criteria"]["At least 31 speeches"]["met"] is False
    assert made_up.json("outputs/character/validation.json")["unique"] == 30


def test_a_speech_on_both_sides_of_the_split_fails_the_step(made_up, ben):
    play = made_up.folder / "plays/comedy.txt"
    play.write_text(play.read_text() + "ANNA.\nThe night 3 is dark, and long!\n")
    made_up.run(STAGES[0], *ben)
    done = made_up.run(STAGES[1], *ben, "thresholds.leak_words=6")
    assert done.code == 1
    assert made_up.json("outputs/character/validation.json")["leaks"] == [["tragedy:5", "comedy:61"]]


def test_a_character_of_a_held_out_play_fails_the_step(made_up, ben):
    made_up.run(STAGES[0], *ben)
    done = made_up.run(STAGES[1], *ben, "held_out=comedy")
    assert done.result["criteria"]["The character stays out of held-out plays"]["met"] is False


def test_held_out_plays_that_are_not_there_fail_the_step(made_up, ben):
    made_up.run(STAGES[0], *ben)
    done = made_up.run(STAGES[1], *ben, "held_out=[tragedy, nowhere]")
    assert done.code == 1
    assert done.result["criteria"]["Held-out plays are here"]["met"] is False


def test_a_prompt_that_is_too_short_fails_the_step(done_all, ben):
    done = done_all.run(STAGES[2], *ben, "prompt.min_tokens=800")
    assert done.code == 1
    assert "The prompt has 800 tokens or more" in done.err


def test_a_held_out_sentence_in_the_prompt_fails_the_step(done_all, ben):
    done = done_all.run(STAGES[2], *ben, "held_out=comedy", "prompt.shingle=4")
    assert done.code == 1
    assert done.result["criteria"]["The prompt tells nothing of the held-out plays"]["met"] is False


def test_an_unknown_character_is_told_the_nearest(made_up, ben):
    done = made_up.run(STAGES[0], *ben, "character.name=bne")
    assert (done.code, done.err) == (2, "error: nobody is called 'bne' here; did you mean BEN?: set character.name\n")


def test_one_name_for_two_persons_asks_which(made_up, ben):
    tragedy = made_up.folder / "plays/tragedy.txt"
    tragedy.write_text(tragedy.read_text().replace("DORA", "BEN"))
    done = made_up.run(STAGES[0], *ben)
    assert (done.code, "set character.plays to one of comedy, tragedy" in done.err) == (2, True)
    assert made_up.run(STAGES[0], *ben, "character.plays=tragedy").code == 0


@pytest.mark.parametrize("script", STAGES[1:])
def test_a_step_too_early_names_the_step_before(project, script):
    done = project.run(script)
    assert done.code == 1
    assert done.err == "error: outputs/corpus.jsonl is missing: run `python scripts/03_explore_dataset.py` first\n"


def test_a_folder_without_rights_is_one_line(made_up, ben):
    (made_up.folder / "outputs").write_text("a file where a folder should be")
    done = made_up.run(STAGES[0], *ben)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("script", ["01_test_auth.py", "02_check_dependencies.py", *STAGES])
def test_help_shows_the_exact_command(project, script):
    done = project.run(script, "--help")
    assert done.code == 0
    assert f"python scripts/{script}" in done.out


@pytest.mark.parametrize("script", ["01_test_auth.py", "02_check_dependencies.py", *STAGES])
def test_a_wrong_setting_is_usage(project, script):
    done = project.run(script, "sed=1")
    assert done.code == 2
    assert "did you mean seed?" in done.err


def test_a_script_killed_while_writing_leaves_no_half_file(made_up, ben):
    trap = made_up.folder / "trap"
    trap.mkdir()
    (trap / "sitecustomize.py").write_text(
        "import os, signal\ndef replace(*paths):\n    os.kill(os.getpid(), signal.SIGKILL)\nos.replace = replace\n"
    )
    done = made_up.run(STAGES[0], *ben, PYTHONPATH=str(trap))
    assert done.code == -signal.SIGKILL
    assert not os.path.exists(made_up.folder / "outputs/corpus.jsonl")
    assert made_up.run(STAGES[0], *ben).code == 0


def test_packages_are_compared_with_their_pins(project):
    (project.folder / "constraints.txt").write_text("PyYAML==0.0.1\nno-such-package==1.0\n# words\n")
    done = project.run("02_check_dependencies.py", "environment.required=[]")
    assert done.code == 1
    found = project.json("outputs/environment.json")["packages"]
    assert (found["differing"]["pyyaml"]["pin"], found["absent"]) == ("0.0.1", ["no-such-package"])
    assert "pip install -c constraints.txt pyyaml" in done.err


def test_a_required_package_that_is_absent_fails(project):
    done = project.run("02_check_dependencies.py", "environment.required=no-such-package")
    assert done.code == 1
    assert done.result["criteria"]["Required packages are at their pin"]["met"] is False


def test_a_small_disk_fails(project):
    done = project.run("02_check_dependencies.py", "environment.required=[]", "environment.min_free_gb=1e9")
    assert done.result["criteria"]["Disk has room"]["met"] is False


def test_no_torch_is_reported_and_no_failure(project):
    done = project.run("02_check_dependencies.py", "--test", "environment.required=[]")
    assert done.code == 0, done.err
    assert project.json("outputs/test/environment.json")["gpu"]["devices"] == []


def test_no_pins_is_one_line(project):
    (project.folder / "constraints.txt").unlink()
    done = project.run("02_check_dependencies.py")
    assert (done.code, done.err.count("\n")) == (1, 1)
