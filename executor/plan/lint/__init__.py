"""Warnings of validate about valid plans that will not work as meant."""
