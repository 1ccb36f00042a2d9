"""Training kernels of our own for the CPU: what is bound by memory goes through it as seldom as it can.

kernels.cpp is compiled on the user's machine for its own processor (compiled.py), where there is a C++ compiler;
norm.py and depthwise.py make torch functions of it, and places.py puts them into a network, whose weights and names
stay.
"""
