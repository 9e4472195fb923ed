"""Advice on files whose names are nearly those of SPEC.md or of the definitions."""

from __future__ import annotations

import os

from executor.store.project import DEFINITIONS, SPEC_NAME, TASKS
from executor.system.folders import names_in

SPEC_STEMS = ("spec", "specs")
SPEC_ENDS = ("", ".md", ".markdown", ".mdown", ".mkd", ".mkdn", ".mdwn", ".mdx", ".txt")
DEFINITION_STEMS = ("stepdefinitions", "stepdefinition", "stepsdefinition", "stepsdefinitions", "stepdefs")
YAML_ENDS = (".yaml", ".yml", "", ".json")


def misnamed_definitions(folder: str) -> str:
    """Return advice on a file here with nearly the name of the definitions; empty for none."""
    for below in ("", TASKS, ".claude", "tasks"):
        names = names_in(os.path.join(folder, below))
        home = below if below in ("", TASKS) else ""
        if DEFINITIONS[0] in names:
            right = "" if below == home else DEFINITIONS[0]
            return _advice(folder, os.path.join(below, DEFINITIONS[0]), right)
        found = next((name for name in names if _is_nearly_definitions(name, beside=names)), "")
        if found:
            return _advice(folder, os.path.join(below, found), os.path.join(home, DEFINITIONS[0]))
    return ""


def misnamed_spec(folder: str) -> str:
    """Return advice on a file here with nearly the name of SPEC.md; empty for none."""
    for below in ("", TASKS, ".claude"):
        names = [name for name in names_in(os.path.join(folder, below)) if below or name != SPEC_NAME]
        found = next(filter(_is_nearly_spec, names), "")
        if found:
            return _advice(folder, os.path.join(below, found), SPEC_NAME)
    return ""


def _is_nearly_spec(name: str) -> bool:
    lower = name.lower()
    stem, end = os.path.splitext(lower.removesuffix(".txt") if lower.endswith(".md.txt") else lower)
    return stem.strip(" _-") in SPEC_STEMS and end in SPEC_ENDS


def _is_nearly_definitions(name: str, beside: list[str]) -> bool:
    stem, end = os.path.splitext(name.lower().removesuffix(".txt"))
    bare = stem.translate({ord(char): None for char in " _-."})
    if bare == "steps":
        return end in (".yaml", ".yml") and any(map(_is_nearly_spec, beside))
    return bare in DEFINITION_STEMS and end in YAML_ENDS


def _advice(folder: str, found: str, wanted: str) -> str:
    path = os.path.join(folder, found)
    if os.path.isdir(path):
        return f"{found} is a folder, not a file"
    if not os.path.exists(path):
        return f"{found} is a link that leads nowhere"
    if not wanted:
        return ""
    from shlex import quote

    return f"found {found}: rename it (mv {quote(found)} {quote(wanted)})"
