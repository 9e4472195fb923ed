"""The way of a step: decide, run its phases in order, tick its box."""
