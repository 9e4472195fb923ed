"""Stands for the SDK: it has a ServiceClient, and no Client."""

import os


class ServiceClient:
    def __init__(self):
        if not os.environ.get("TINKER_API_KEY"):
            raise SystemExit("no TINKER_API_KEY")

    def get_server_capabilities(self):
        return ["model-a", "model-b"]
