"""Several networks trained alike: their mean predicts, and how far they are apart says how sure it is."""
