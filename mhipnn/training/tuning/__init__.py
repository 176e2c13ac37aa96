"""Search for the settings of a training: many short trainings, of which the unpromising ones are stopped early."""
