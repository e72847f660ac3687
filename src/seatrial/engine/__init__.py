"""Engines carry out plans; they decide nothing."""
