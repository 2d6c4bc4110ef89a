"""Trains, compresses, measures and exports the query classifiers that pg_harca loads.

`python -m harca_train --help` tells of the steps; README.md beside this package has a walk through them.
"""
