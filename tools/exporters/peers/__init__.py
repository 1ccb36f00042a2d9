"""The exporters, one file each with `EXPORTER`. Functions import what is installed in their own environment only."""
