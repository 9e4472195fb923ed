"""Views: followers of the journal."""
