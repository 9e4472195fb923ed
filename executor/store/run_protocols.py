"""The screen of a run and the containment of its checks, as a run context needs them."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from executor.plan.model import Check
    from executor.store.task import Task

    Progress = Callable[[int, int], None]
    Waits = Callable[[str, str], None]
    Trace = Callable[..., None]
    Argv = tuple[str, ...]

    class RunScreen(Protocol):
        """The screen of a run."""

        @property
        def bar(self) -> Progress:
            """Return the call that shows rows done of a total."""

        @property
        def waits(self) -> Waits:
            """Return the call that shows the reason and end of a wait."""

    class Enclosure(Protocol):
        """The containment of the checks of a step that an agent did."""

        def command_of(self, check: Check, argv: Argv, env: Mapping[str, str]) -> tuple[Argv, dict[str, str]]:
            """Return the command line of a check inside the sandbox, and its environment."""

        def hint(self, check: Check, output: str) -> str:
            """Return a hint about the network or key that a failed check lacks in the sandbox; empty for none."""

        def runs_code(self, check: Check) -> bool:
            """Return True for a check that may run code of the agent."""

        def check_new_files(self, task: Task) -> str:
            """Move new files aside that steer checks; return their names, empty for none."""
