"""Named architectures: one file each, with a function `layers(classes, width)` in the words of a recipe."""
