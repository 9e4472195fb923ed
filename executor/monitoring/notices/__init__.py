"""Notices to people: a command or a URL for each notifier of the plan."""
