"""Plan files of other tools: each format reads bytes into tasks, and writes one mark back."""
