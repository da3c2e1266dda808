"""A program that renders DOT text from standard input to standard output, within limits of time and memory.

Its arguments are `PARENT CPU_SECONDS WALL_SECONDS BYTES FORMAT [DOT]`: the id of its parent process, its limits and the format.
With DOT, the path of Graphviz's `dot`, it becomes that program; without it, it calls pygraphviz. `render_dot` runs this file as
a script, so that the package is not imported.

No signal is handled during a layout, so the kernel ends this process: when its parent exits (on Linux), and when its time is
over (on POSIX systems).
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def limit_this_process(parent: int, cpu_seconds: int, wall_seconds: int, memory: int) -> None:
    """Exit when the process `parent` does, and limit time and memory, as far as the system supports it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal also sends it to the parent, which ends this process
    if sys.platform == "win32":
        return
    import resource

    limits = ((resource.RLIMIT_CPU, cpu_seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0))
    for kind, limit in limits:
        most = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    signal.alarm(wall_seconds)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has exited already
        os._exit(1)


def main(parent: str, cpu_seconds: str, wall_seconds: str, memory: str, form: str, program: str = "") -> None:
    limit_this_process(int(parent), int(cpu_seconds), int(wall_seconds), int(memory))
    if program:
        os.execv(program, [program, f"-T{form}"])
    from pygraphviz import AGraph

    text = sys.stdin.buffer.read().decode("utf-8")
    sys.stdout.buffer.write(AGraph(string=text).draw(format=form, prog="dot"))


if __name__ == "__main__":
    main(*sys.argv[1:])
