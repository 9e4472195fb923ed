"""See that a Tinker service trains, saves, resumes and samples: a minute, with the real SDK, on words of the plays.

    python scripts/try_tinker.py [--model local/bard-small] [--steps 30] [--rank 16]

Talks to the service that distillation/tinker_client.py chooses. Prints a line a proof; exits 1 when one fails.
"""

from __future__ import annotations

import sys

from distillation.first_lora import main

if __name__ == "__main__":
    sys.exit(main())
