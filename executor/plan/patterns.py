"""Forms of a plan's keys, sizes and spans of time; schema.json has the same ones."""

STEP_KEY = r"^step_(0|[1-9][0-9]{0,5})_([A-Za-z0-9][A-Za-z0-9_-]*)$"
SIZE = r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([kKmMgGtT]?)(i?)([bB]?)\s*$"
SPAN = r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([smhd])?\s*$"
YEAR_S = 31_536_000
