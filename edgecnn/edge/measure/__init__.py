"""What a model costs on the machine it runs on: time, memory, and whether the machine was quiet enough to say so.

All of it runs in a process of its own for each model, engine and number of threads (process.py), which imports as
little as running a model takes: what it holds besides would be measured with it.
"""
