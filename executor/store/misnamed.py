"""Files of a plan whose name is nearly right, and how to put it right."""

from __future__ import annotations

import os

from executor.system.folders import names_in

SPEC = "SPEC.md"
DEFINITIONS = "step_definitions.yaml"
TASKS = os.path.join(".claude", "tasks")
_SPEC_STEMS = ("spec", "specs")
_SPEC_ENDS = ("", ".md", ".markdown", ".mdown", ".mkd", ".mkdn", ".mdwn", ".mdx", ".txt")
_DEFINITION_STEMS = ("stepdefinitions", "stepdefinition", "stepsdefinition", "stepsdefinitions", "stepdefs")
_YAML_ENDS = (".yaml", ".yml", "", ".json")


def definitions_in(folder: str) -> str:
    """Return what to say of a file here that was meant to be the definitions; empty when there is none."""
    for below in ("", TASKS, ".claude", "tasks"):
        names = names_in(os.path.join(folder, below))
        at_home = below in ("", TASKS)
        right = [name for name in names if name == DEFINITIONS]
        if right:
            return _told(folder, os.path.join(below, right[0]), DEFINITIONS if not at_home else "")
        found = [name for name in names if _is_nearly_definitions(name, beside=names)]
        if found:
            return _told(folder, os.path.join(below, found[0]), os.path.join(below if at_home else "", DEFINITIONS))
    return ""


def spec_in(folder: str) -> str:
    """Return what to say of a file here that was meant to be SPEC.md; empty when there is none."""
    for below in ("", TASKS, ".claude"):
        found = [name for name in names_in(os.path.join(folder, below)) if _is_nearly_spec(name)]
        found = [name for name in found if below or name != SPEC]
        if found:
            return _told(folder, os.path.join(below, found[0]), SPEC)
    return ""


def _is_nearly_spec(name: str) -> bool:
    lower = name.lower()
    if lower.endswith(".md.txt"):
        lower = lower.removesuffix(".txt")
    stem, end = os.path.splitext(lower)
    return stem.strip(" _-") in _SPEC_STEMS and end in _SPEC_ENDS


def _is_nearly_definitions(name: str, beside: list[str]) -> bool:
    stem, end = os.path.splitext(name.lower().removesuffix(".txt"))
    bare = stem.translate({ord(char): None for char in " _-."})
    if bare == "steps":
        return end in (".yaml", ".yml") and any(map(_is_nearly_spec, beside))
    return bare in _DEFINITION_STEMS and end in _YAML_ENDS


def _told(folder: str, found: str, wanted: str) -> str:
    from shlex import quote

    path = os.path.join(folder, found)
    if os.path.isdir(path):
        return f"{found} is a folder, not a file"
    if not os.path.exists(path):
        return f"{found} is a link that leads nowhere"
    return f"found {found}: rename it (mv {quote(found)} {quote(wanted)})" if wanted else ""
