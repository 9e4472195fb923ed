"""Plan formats: how each kind of plan file is read and ticked."""
