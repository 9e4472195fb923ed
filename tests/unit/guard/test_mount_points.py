"""A folder that an agent mounts in the project is another's: nothing in it is moved or written."""

import subprocess
import sys

import pytest

from executor.guard import mount_points

NAMESPACE = ["unshare", "-rm"]
AGENT = """
import os, subprocess, sys
from executor.guard import protect, snapshot
root, other, place = sys.argv[1:]
folder = os.path.join(root, ".do-tasks", "guard")
memory = snapshot.write(root, folder, ("tests/**",))
subprocess.run(["mount", "--bind", other, os.path.join(root, place)], check=True)
found = protect.changes(root, folder)
for one in protect.restore_changes(root, folder, found):
    print(one.path, one.restored, one.why)
protect.delete_caches(root, folder)
"""


def can_mount():
    try:
        tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, timeout=20, check=False)
    except OSError:
        return False
    return tried.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no mount namespace can be made here")
@pytest.mark.parametrize("place", ["tests", "tests/more"])
def test_files_behind_a_new_mount_stay_where_they_are(tmp_path, place):
    root, other = tmp_path / "project", tmp_path / "other"
    (root / "tests" / "more").mkdir(parents=True)
    (root / "tests" / "test_a.py").write_text("assert 1\n")
    (root / "tests" / "more" / "test_b.py").write_text("assert 2\n")
    (other / "sub" / "__pycache__").mkdir(parents=True)
    theirs = {"test_a.py": "theirs a\n", "test_b.py": "theirs b\n", "sub/c.py": "c\n", "sub/__pycache__/c.pyc": "x\n"}
    for name, text in theirs.items():
        (other / name).write_text(text)
    command = [*NAMESPACE, sys.executable, "-c", AGENT, str(root), str(other), place]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "was mounted meanwhile, and what is in it is left alone" in done.stdout
    assert "True" not in done.stdout
    assert {name: (other / name).read_text() for name in theirs} == theirs


def test_mount_points_are_those_below_a_folder():
    assert "proc" in mount_points.below("/")
    assert mount_points.below("/proc/self") == ()
