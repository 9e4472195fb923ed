"""Forms of a plan's keys; schema.json has the same ones."""

STEP_KEY = r"^step_(0|[1-9][0-9]{0,5})_([A-Za-z0-9][A-Za-z0-9_-]*)$"
