"""A process that shall not outlive whoever asked it to work, though it is busy: over SSH nobody else ends it.

When a link is lost, sshd closes its ends of a program's stdin and stdout and leaves the program alone; when only the
other side's process is gone, its stdin ends. Whoever reads requests sees that between two of them, and an inference may
hang for ever. So a thread looks on: nobody holds the other end of stdout -> no answer can be heard, the process ends at
once; stdin has ended -> what was asked before may be answered, and then it ends.

Of a link that stalls without a word sshd does not hear before TCP does, or its ClientAliveInterval; nor does this.
"""

from __future__ import annotations

import os
import select
import threading
import time

GRACE_S = 5.0
"""For what was asked before stdin ended."""
LOST = 3
"""The exit code of a process that was let go; nobody is there to read it."""


def hold(stdin: int, stdout: int) -> None:
    """Let this process end with the other ends of these file descriptors, whatever it does then.

    stdin: pipe or socket that requests come from. stdout: where answers go. What is neither (a file, a terminal) holds
    nothing. The thread sleeps until then. It needs the interpreter for an instant, which engines leave free while they
    compute.
    """
    threading.Thread(target=_watch, args=(stdin, stdout), daemon=True, name="leash").start()


def _watch(stdin: int, stdout: int) -> None:
    poll = select.poll()
    poll.register(stdin, select.POLLRDHUP)  # a pipe has POLLHUP, which is always told; a half-closed socket this
    poll.register(stdout, 0)  # POLLERR and POLLHUP
    deadline: float | None = None
    while deadline is None or time.monotonic() < deadline:
        left = None if deadline is None else 1e3 * max(0.0, deadline - time.monotonic())
        for descriptor, event in poll.poll(left):
            if descriptor == stdout and event & (select.POLLERR | select.POLLHUP):
                os._exit(LOST)
            poll.unregister(descriptor)
            if descriptor == stdin:
                deadline = time.monotonic() + GRACE_S
    os._exit(LOST)
