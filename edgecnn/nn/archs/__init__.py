"""Named architectures: one file each, with a function `layers(classes, width, size)` in the words of a recipe.

`size` is the picture's (height, width) in pixels: what has a form for small pictures chooses by it.
"""
