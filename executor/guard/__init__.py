"""The guard of an agent's judges: snapshot, comparison, restoration, and the containment of an agent."""
