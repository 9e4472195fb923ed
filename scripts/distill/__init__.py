"""What two or more of the numbered scripts share."""
