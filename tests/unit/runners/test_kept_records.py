"""Records that a MAIN deleted before they could be read are not made up."""

from types import SimpleNamespace

from executor.runners import kept_records


def test_a_folder_that_is_gone_already_has_nothing_to_keep(tmp_path):
    context, task = SimpleNamespace(root=str(tmp_path)), SimpleNamespace(task_id="task_1_0a0a0a0a")
    kept = kept_records.keep(context, task, "main.1")
    assert kept.contents == {}
    kept_records.restore(context, task, kept)
    assert list(tmp_path.iterdir()) == []
