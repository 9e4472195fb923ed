"""The revision of a project and the packages of an interpreter, as their files have them."""

from __future__ import annotations

import os

import pytest

from executor.store.provenance import installed, revision_of

COMMIT = "a" * 40


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "revision"),
    [
        ({}, ""),
        ({".git/HEAD": "ref: refs/heads/main\n"}, ""),  # before the first commit
        ({".git/HEAD": f"{COMMIT}\n"}, COMMIT),
        ({".git/HEAD": "ref: refs/heads/a/b\n", ".git/refs/heads/a/b": f"{COMMIT}\n"}, COMMIT),
        ({".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": f"# pack\n{COMMIT} refs/heads/main\n"}, COMMIT),
        (
            {
                ".git": "gitdir: store/worktrees/w\n",
                "store/worktrees/w/HEAD": "ref: refs/heads/main\n",
                "store/worktrees/w/commondir": "../..\n",
                "store/refs/heads/main": COMMIT,
            },
            COMMIT,
        ),
        ({".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": "ref: refs/heads/main"}, ""),  # a circle
    ],
)
def test_a_revision_is_found_in_each_layout_of_git(tmp_path, files, revision):
    for name, text in files.items():
        write(tmp_path / name, text)
    (tmp_path / "below").mkdir()
    assert revision_of(str(tmp_path / "below")) == revision


def test_another_version_of_a_package_is_another_environment(tmp_path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    write(tmp_path / "bin" / "python")
    write(tmp_path / "pyvenv.cfg", "include-system-site-packages = false\n")
    write(packages / "torch-2.0.dist-info" / "METADATA")
    write(packages / "links.pth", f"import nothing\n{tmp_path}/more\n")
    write(tmp_path / "more" / "mine.egg-info" / "PKG-INFO")
    python = str(tmp_path / "bin" / "python")
    first = installed(python)
    assert first.count == 2
    assert installed(python) == first
    os.rename(packages / "torch-2.0.dist-info", packages / "torch-2.1.dist-info")
    os.utime(packages, ns=(1, 1))
    assert installed(python).digest != first.digest
