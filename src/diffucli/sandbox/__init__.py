"""Run untrusted Python in a limited child process and report how it ended; commands of the user are in `command`.

Knows nothing of models or problems.

What is kept out, by system:

- Everywhere: the wall clock (the child is killed with its process group), output beyond 64 KiB (read and dropped), the
  caller's environment and site-packages (only the standard library can be imported), files left behind (the working,
  home and temporary folder is one folder, which is deleted afterwards). Neither a crash nor an early `exit(0)` passes
  tests.
- Linux and macOS: limits on CPU time, open files, the size of a file and core dumps; on Linux also on memory (macOS
  does not enforce it) and, with namespaces, on the number of processes and threads.
- Linux, if user namespaces are allowed (`Outcome.confined`): no network; the whole file system is read-only except for
  a folder of 64 MiB in memory; /run is hidden; other processes are neither visible nor reachable by signals, and no
  process of the child outlives it.
- Linux, if root runs it: the child becomes nobody first, provided that nobody can read the interpreter. If not, the
  audit hook below is installed as well, because the kernel does not limit the processes of root.
- Elsewhere (not `confined`): an audit hook inside the interpreter refuses sockets, processes, ctypes and writes outside
  the folder. That stops accidents, not attackers: code can get around it on purpose.

What is not kept out: reading any file that the user can read (what is read can only go to the output); sockets in the
file system outside /run; bugs of the kernel or of CPython; code that searches its own interpreter for the token that
says "passed"; on Windows, memory and CPU time within the wall clock. Use a virtual machine for hostile code.
"""

from diffucli.sandbox.command import Ended, ShellCommands
from diffucli.sandbox.run import Outcome, run_tests

__all__ = ["Ended", "Outcome", "ShellCommands", "run_tests"]
