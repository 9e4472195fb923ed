"""Multi-label classification of Debian packages by their debtags: table, split, baseline, encoder, scores."""
