"""Serve the Tinker protocol on this machine: the real SDK trains and samples without a key or a network.

    python scripts/serve_tinker.py [--port N] [--state DIR] [--model FOLDER ...] [--device auto|cpu|cuda]

Serves every folder of outputs/models (DO_TASKS_MODELS) as local/NAME. Its key is its environment's TINKER_API_KEY, else
one of its own in outputs/tinker/token. Ends with Ctrl-C; checkpoints and sessions stay.
"""

from __future__ import annotations

from tinker_local.server import entry

if __name__ == "__main__":
    entry()
