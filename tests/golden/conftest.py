"""Adds --update-golden, which writes what whole runs say now over what was expected."""

from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write the goldens anew; review them as a diff")
