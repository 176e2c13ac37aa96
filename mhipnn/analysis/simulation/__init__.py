"""``python -m mhipnn.simulate``: replicas made, run, written and drawn."""
