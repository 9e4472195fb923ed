"""The output of the commands: transcript, tables, summary."""
