"""Files that judge an agent's work: remembered, compared, restored; what contains an agent."""
