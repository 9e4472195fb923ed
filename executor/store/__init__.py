"""The records of a project: its files, its log, the runs of its tasks."""
