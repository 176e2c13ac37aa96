"""What ``python -m mhipnn.analyze`` can see in a trajectory: each reads the frames once, one after the other."""
