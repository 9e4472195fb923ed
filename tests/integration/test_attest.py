"""A statement of a passed step, and the files of a clone held against it."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.integration.projects import Project

SCRIPT = 'import json; open("out.txt", "w").write("hi"); json.dump({"acc": 0.9}, open("m.json", "w"))\n'
CRITERION = {"criterion": "Accurate", "metric": {"file": "m.json", "name": "acc", "above": 0.5}}


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path / "p")
    main = {
        "script": "a.py",
        "test": "none",
        "inputs": ["data/*"],
        "outputs": ["out.txt"],
        "success_criteria": [CRITERION],
    }
    made.plan(s1={"main": main})
    made.write("a.py", SCRIPT)
    made.write("data/[odd] name.txt", "d")
    assert made.run("--step", "1").code == 0
    return made


def attested(project):
    done = project.run("attest", "1")
    assert done.code == 0, done.err
    return json.loads(done.out), done.err


def test_a_statement_names_what_ran_on_which_files_with_which_evidence(project):
    body, told = attested(project)
    task_id = project.events("StepPassed")[-1]["task_id"]
    assert [one["name"] for one in body["subject"]] == ["out.txt", f"log:{task_id}"]
    definition = body["predicate"]["buildDefinition"]
    assert [one["name"] for one in definition["resolvedDependencies"]] == ["a.py", "data/[odd] name.txt"]
    assert "a.py" in definition["externalParameters"]["command"]
    assert body["predicate"]["evidence"]["criteria"][0]["got"] == "acc = 0.9 in m.json"
    assert "not in the statement: m.json; name them in outputs" in told


def test_a_clone_is_held_against_it_file_by_file(project, tmp_path):
    statement = tmp_path / "statement.json"
    statement.write_text(project.run("attest", "1").out, encoding="utf-8")
    clone = tmp_path / "clone"
    shutil.copytree(project.root, clone, ignore=shutil.ignore_patterns(".do-tasks", ".task_execution.log"))
    verify = ("attest", "--project", str(clone), "--verify", str(statement))
    same = project.run(*verify)
    assert (same.code, same.out.splitlines()[-2]) == (0, "3 of 3 files are the same.")
    assert "not signed" in same.out
    (clone / "out.txt").write_text("other", encoding="utf-8")
    (clone / "a.py").unlink()
    found = project.run(*verify, "--json")
    assert found.code == 1
    results = {one["path"]: one["result"] for one in json.loads(found.out)["files"]}
    assert results == {"out.txt": "differs", "a.py": "missing", "data/[odd] name.txt": "same"}


def test_a_statement_reads_no_file_outside_the_folder(project, tmp_path):
    body, _ = attested(project)
    body["subject"] = [{"name": name, "digest": {"sha256": "0"}} for name in ("/etc/hostname", "../p/out.txt/../../x")]
    (tmp_path / "s.json").write_text(json.dumps(body), encoding="utf-8")
    done = project.run("attest", "--verify", str(tmp_path / "s.json"), "--json")
    assert [one["result"] for one in json.loads(done.out)["files"]][:2] == ["outside", "outside"]


@pytest.mark.parametrize(
    ("name", "content", "words", "said"),
    [
        ("out.txt", "x", "attest 1", "changed since it passed: outputs out.txt changed"),
        ("a.py", f"{SCRIPT}#", "attest 1", "changed since it passed: script"),
        (".task_execution.log", "", "attest 1", "is not ticked with a task that this log"),
        ("s.json", "{}", "attest", "name a step, or --verify FILE"),
        ("s.json", "{}", "attest 1 --verify s.json", "name a step, or --verify FILE"),
        ("s.json", "no JSON", "attest --verify s.json", "s.json is no JSON"),
        ("s.json", "[]", "attest --verify s.json", "s.json: no statement of"),
        ("s.json", "{}", "attest --verify gone.json", "cannot read gone.json"),
    ],
)
def test_what_is_not_known_is_not_attested(project, name, content, words, said):
    project.write(name, content)
    done = project.run(*words.split())
    assert done.code == 2
    assert said in done.err


def git(project, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(["git", *who, *words], cwd=project.root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_run_records_revision_changes_and_packages(project):
    git(project, "init", "-q")
    git(project, "add", "a.py", "SPEC.md", "step_definitions.yaml")
    git(project, "commit", "-q", "-m", "first")
    revision = git(project, "rev-parse", "HEAD")
    assert project.run("--step", "1", "--rerun").code == 0
    clean = project.events("MainStarted")[-1]
    assert (clean["revision"], clean["dirty"]) == (revision, False)  # the tick in SPEC.md is no change of the project
    assert clean["environment"]
    assert clean["distributions"] > 5
    project.write("a.py", SCRIPT + "# more\n")
    git(project, "pack-refs", "--all")
    assert project.run("--step", "1", "--rerun").code == 0
    changed = project.events("MainStarted")[-1]
    assert (changed["revision"], changed["dirty"]) == (revision, True)
    recorded = project.run("attest", "1").json["predicate"]["buildDefinition"]["internalParameters"]
    assert (recorded["revision"], recorded["dirty"]) == (revision, True)
    assert recorded["environment"] == changed["environment"]


def test_a_project_outside_of_git_has_no_revision(project):
    begun = project.event("MainStarted")
    assert (begun["revision"], begun["dirty"]) == ("", None)
