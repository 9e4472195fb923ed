"""The text of bash commands: read, judged, started."""
