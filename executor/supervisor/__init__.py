"""The supervisor of one background job: a process of its own."""
