"""Run 13_train_student_model.py: the name that this script of step 13 has in older plans."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).with_name("13_train_student_model.py")), run_name="__main__")
