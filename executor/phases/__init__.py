"""The phases of a step in their order; SPEC follows them always."""

from executor.phases.background import background
from executor.phases.host import host
from executor.phases.main import main
from executor.phases.post import post
from executor.phases.preflight import preflight
from executor.phases.sample import sample

PHASES = (("PRE-FLIGHT", preflight), ("TEST", sample), ("MAIN", main), ("POST", post))
HOST_PHASES = (("PRE-FLIGHT", preflight), ("TEST", sample), ("HOST", host))
JOB_PHASES = (("PRE-FLIGHT", preflight), ("TEST", sample), ("BACKGROUND", background))
