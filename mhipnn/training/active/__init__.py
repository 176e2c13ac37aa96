"""Active learning: a committee of networks says which of its own states should be labelled exactly."""
