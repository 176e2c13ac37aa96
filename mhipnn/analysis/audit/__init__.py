"""Torques of a run against those of exact or KPM electrons at the same spins."""
