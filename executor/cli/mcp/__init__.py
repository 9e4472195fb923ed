"""The plan as tools of the Model Context Protocol."""
