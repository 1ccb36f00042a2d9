"""What tools/compare_exporters is made of: the exporters (peers/, one file each) and the measurements."""
