"""Whether exported files are the same model: parity, whole and layer by layer, and the certificate that says so."""
