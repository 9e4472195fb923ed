"""Boxes that are read one by one are those of the whole file."""

import pytest

from executor.store.project_view import LazyBoxes, boxes_in

SPECS = (
    b"",
    b"- [ ] **STEP 1**: a\n- [x] **STEP 2**: b\n",
    b"- [ ] **STEP 1**: a\n- [x] **STEP 1**: b\n- [ ] **STEP 12**: c\n",
    b"```\n- [ ] **STEP 1**: fenced\n```\n- [ ] **STEP 21**: a\n",
    b"> - [ ] **STEP 1**: quoted\n\n- [x] **STEP 1**: a\n",
    b"".join(b"- [ ] **STEP %d**: a\n" % number for number in range(30)),
)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("order", [1, -1])
def test_a_box_that_is_looked_for_alone_is_that_of_the_whole_file(spec, order):
    lazy, every = LazyBoxes(spec), boxes_in(spec)
    for number in range(30)[::order]:
        assert lazy.get(number) == every.get(number)
