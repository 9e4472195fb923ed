"""Ask the service who we are: 01_test_auth.py [--test]."""

import json
import os
import sys

import tinker

models = tinker.ServiceClient().get_server_capabilities()
if "--test" in sys.argv:
    print(f"1 of {len(models)} models asked")
    raise SystemExit
print(f"key {os.environ['TINKER_API_KEY']} is accepted")
print(f"{len(models)} models")
said = {"API key validated": {"met": True, "evidence": f"{len(models)} models listed"}}
with open(os.environ["DO_TASKS_RESULT"], "w") as file:
    json.dump({"criteria": said, "metrics": {"models": len(models)}}, file)
