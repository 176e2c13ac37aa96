"""What the states mean: correlations, rollouts compared, figures."""
