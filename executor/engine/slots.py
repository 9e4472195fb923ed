"""Threads that run steps: each runs one step at a time, in its own context."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from threading import Thread

from executor.engine.sequence import reported
from executor.errors import MachineError
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from executor.engine.step import RunOptions, RunReport
    from executor.plan.step_ids import StepId
    from executor.store.context import RunContext
    from executor.system.interrupts import Interrupts


class Ended(Record):
    """The end of a step in a slot: its report, or the error that it raised."""

    number: StepId
    report: RunReport | None = None
    error: BaseException | None = None


class Slots:
    """The slots of a run, as many as steps may run at a time; `running` are the steps in them."""

    def __init__(self, context: RunContext, count: int, how: RunOptions) -> None:
        self._context, self._count, self._how = context, count, how
        self._done: SimpleQueue[Ended] = SimpleQueue()
        self._free: list[_Slot] = []
        self._busy: dict[StepId, _Slot] = {}

    @property
    def running(self) -> frozenset[StepId]:
        """The steps that run."""
        return frozenset(self._busy)

    @property
    def are_full(self) -> bool:
        """True when no other step can begin."""
        return len(self._busy) >= self._count

    def begin(self, number: StepId, devices: tuple[str, ...] = ()) -> None:
        """Begin a step in a free slot, with these GPUs."""
        slot = self._free.pop() if self._free else _Slot(self._context, self._done)
        self._busy[number] = slot
        slot.begin(number, self._how, devices)

    def next_end(self, limit_s: float | None) -> Ended | None:
        """Return the next step that ends, None when none does within the limit."""
        try:
            ended = self._done.get(timeout=limit_s)
        except Empty:
            return None
        slot = self._busy.pop(ended.number)
        self._free.append(slot)
        if slot.context.plan is not self._context.plan:  # an agent's step ran alone, and the plan was read again
            self._context.follow_run(slot.context)
        return ended

    def close(self) -> None:
        """End the steps that still run, because the executor cannot go on, and the threads."""
        for slot in self._busy.values():
            slot.context.interrupts.ask("an error of another step")
        for slot in (*self._busy.values(), *self._free):
            slot.close()


class _Slot:
    """A thread with its context. The thread lives as long as the run: the kernel knows children by thread."""

    def __init__(self, lead: RunContext, done: SimpleQueue[Ended]) -> None:
        self._lead, self._done = lead, done
        self._asked: SimpleQueue[tuple[StepId, RunOptions] | None] = SimpleQueue()
        self._ready: SimpleQueue[RunContext] = SimpleQueue()
        self._thread = Thread(target=self._work, args=(lead.interrupts.branch(),), name="do-tasks step")
        try:
            self._thread.start()
        except RuntimeError as error:
            raise MachineError(
                f"cannot start a thread for a step: {error}; say a smaller --jobs, then go on"
            ) from error
        self.context = self._ready.get()

    def begin(self, number: StepId, how: RunOptions, devices: tuple[str, ...]) -> None:
        self.context.follow_run(self._lead)
        self.context.devices = devices
        self._asked.put((number, how))

    def close(self) -> None:
        self._asked.put(None)
        self._thread.join()
        self._lead.interrupts.close(self.context.interrupts)

    def _work(self, interrupts: Interrupts) -> None:
        context = self._lead.branch(interrupts)
        self._ready.put(context)
        while (asked := self._asked.get()) is not None:
            number, how = asked
            try:
                self._done.put(Ended(number, reported(context, number, how)))
            except BaseException as error:  # noqa: BLE001 - raised again in the thread of the run
                self._done.put(Ended(number, error=error))
