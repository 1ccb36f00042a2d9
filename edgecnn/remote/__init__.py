"""Devices: what is known of them."""
