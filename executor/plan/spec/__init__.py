"""SPEC.md: its lines, marks and boxes, and how one of them is patched."""
