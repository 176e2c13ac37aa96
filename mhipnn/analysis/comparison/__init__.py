"""Several runs of one quench compared."""
