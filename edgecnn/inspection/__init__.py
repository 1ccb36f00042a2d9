"""What is to be said about a model file: what an engine makes of each operation (kernels/), what is wrong (rules/).

All of it runs in a child process: the file may be of any origin.
"""
