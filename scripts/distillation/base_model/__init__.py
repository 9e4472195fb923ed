"""The local base model: made of the plays, judged by the ones held out."""
