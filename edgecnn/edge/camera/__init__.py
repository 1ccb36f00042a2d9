"""The live classifier: frames from a camera, file or network, each with its answer, fresh, and honest about its pace.

    capture (a process)  ->  slot: the newest frame  ->  inference (a process)  ->  live: picture and answer  ->  view

Each goes at its own pace; what one can't take is dropped, never queued. Whatever dies or hangs is started anew.
"""
