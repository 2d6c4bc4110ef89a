"""The benchmark behind `make bench`: one module per subject, figures as ratios of one run, answers checked."""
