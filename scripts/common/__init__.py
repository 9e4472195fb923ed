"""The pipeline's common ground: the skeleton of a stage, settings, files, errors."""
