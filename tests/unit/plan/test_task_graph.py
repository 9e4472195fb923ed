"""Tests of the order of tasks: ready, next, waves, circles, the longest path, drawings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from executor.plan.formats.model import PlanDocument, PlanTask
from executor.plan.graph_drawing import as_dot, as_mermaid, as_text, edges
from executor.plan.longest_path import longest_path, path_length
from executor.plan.task_graph import circles, graph_of, next_ids, ready, sorted_ids, waves


def task(name: str, *needs: str, **more: object) -> PlanTask:
    return PlanTask(name, f"do {name}", depends_on=needs, **more)


def graph(*tasks: PlanTask, ordered: bool = False):
    return graph_of(PlanDocument("test", tasks, ordered=ordered))


def test_a_task_is_ready_when_all_that_it_depends_on_is_closed():
    made = graph(task("a", state="done"), task("b", "a"), task("c", "b"), task("d", "x"), task("e", state="cancelled"))
    assert ready(made) == ["b"]
    assert made.missing == {"d": ("x",)}


def test_started_blocked_and_closed_tasks_are_not_ready():
    states = ("started", "blocked", "done", "cancelled", "failed", "open")
    assert ready(graph(*(task(state, state=state) for state in states))) == ["failed", "open"]


def test_a_parent_is_ready_when_its_parts_are_closed():
    part = task("1.1", parent="1")
    assert ready(graph(task("1"), part)) == ["1.1"]
    assert ready(graph(task("1"), part.replace(state="done"))) == ["1"]


def test_in_an_ordered_plan_a_parent_waits_for_its_parts_and_nothing_waits_for_a_parent():
    tasks = (task("1"), task("1.1", parent="1"), task("1.2", parent="1"), task("2"), task("2.1", parent="2"))
    assert waves(graph(*tasks, ordered=True)) == [["1.1"], ["1.2"], ["1", "2.1"], ["2"]]


def test_a_part_that_depends_on_its_parent_makes_no_circle():
    tasks = (task("1"), task("1.1", "x", parent="1"), task("x", "1"))
    assert waves(graph(*tasks, ordered=True)) == [["1"], ["x"], ["1.1"]]


def test_next_goes_by_priority_then_by_what_waits_for_a_task_alone_then_by_place():
    made = graph(task("a"), task("b"), task("c", "b"), task("urgent", priority=1), task("late", priority=3))
    assert next_ids(made) == ["urgent", "late", "b", "a"]


def test_in_an_ordered_document_parallel_neighbours_wait_for_the_task_before_and_not_for_each_other():
    made = graph(task("a"), task("b", parallel=True), task("c", parallel=True), task("d"), ordered=True)
    assert waves(made) == [["a"], ["b", "c"], ["d"]]
    assert made.before("d") == ["b", "c"]


def test_a_phase_waits_for_all_of_the_phase_before():
    first = [task(name, phase="one") for name in "ab"]
    second = [task(name, phase="two", after_phase=True) for name in "cd"]
    assert waves(graph(*first, *second)) == [["a", "b"], ["c", "d"]]


def test_a_written_dependency_on_a_later_task_turns_the_order_of_the_document_around():
    made = graph(task("a", "c"), task("b"), task("c"), ordered=True)
    assert circles(made.waits_for) == []
    assert sorted_ids(made).index("c") < sorted_ids(made).index("a")


def test_a_circle_is_found_once_with_its_way():
    made = graph(task("a", "c"), task("b", "a"), task("c", "b"), task("d", "a"), task("e", "e"))
    assert [sorted(way) for way in circles(made.written)] == [["a", "b", "c"], ["e"]]
    assert ready(made) == []
    assert waves(made) == []


def test_tasks_behind_a_missing_one_are_in_no_wave():
    assert waves(graph(task("a", "gone"), task("b", "a"), task("c"))) == [["c"]]


def test_waves_of_what_is_open_begin_behind_what_is_closed():
    made = graph(task("a", state="done"), task("b", "a"), task("c", "b"))
    assert waves(made, open_only=True) == [["b"], ["c"]]


def test_the_longest_path_goes_by_hours_where_there_are_any():
    tasks = [task("a"), task("b", "a"), task("c", "b"), task("long", "a", estimate_h=9.0)]
    made = graph(*tasks)
    assert longest_path(made) == ["a", "long"]
    assert path_length(made, longest_path(made)) == 9.0
    assert longest_path(graph(*(one.replace(estimate_h=0.0) for one in tasks))) == ["a", "b", "c"]


def test_drawings_hold_each_task_and_edge_and_escape_what_their_language_reads():
    made = graph(task("a").replace(title='say "hi" <b>\\'), task("b", "a"))
    assert list(edges(made)) == [("a", "b")]
    assert as_text(made).splitlines() == ['[ ] a  say "hi" <b>\\', "[ ] b  do b  <- a"]
    assert 't0["a: say #quot;hi#quot; #lt;b#gt;\\"]:::open' in as_mermaid(made)
    assert "t0 --> t1" in as_mermaid(made)
    assert '"a" [label="a: say \\"hi\\" <b>\\\\"' in as_dot(made)
    assert '"a" -> "b";' in as_dot(made)


NAMES = [f"t{number}" for number in range(8)]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=14), st.booleans(), st.data())
def test_each_wave_waits_for_earlier_ones_alone(pairs, ordered, data):
    needs = {name: tuple(dict.fromkeys(one for other, one in pairs if other == name)) for name in NAMES}
    parallel = data.draw(st.lists(st.booleans(), min_size=8, max_size=8))
    phases = sorted(data.draw(st.lists(st.sampled_from("123"), min_size=8, max_size=8)))
    made = graph(
        *(
            task(name, *needs[name], parallel=beside, phase=phase, after_phase=True)
            for name, beside, phase in zip(NAMES, parallel, phases, strict=True)
        ),
        ordered=ordered,
    )
    level = {name: at for at, wave in enumerate(waves(made)) for name in wave}
    for name, at in level.items():
        assert all(level[one] < at for one in made.before(name))
    for name in set(NAMES) - set(level):
        assert name in {one for way in circles(made.waits_for) for one in way} or set(made.before(name)) - set(level)
    assert sorted(sorted_ids(made)) == NAMES
