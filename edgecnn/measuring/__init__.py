"""The coordinator's side of a measurement: processes that hold a model each (edge/measure/), turns, and records."""
