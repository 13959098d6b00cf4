"""Runs a program until standard input ends: `python guard.py PROGRAM...`.

Standard input is a pipe of the process that starts this one. The operating system closes it when that process ends, in
whatever way. So the program never outlives it, even after `kill -9`.
"""

import os
import subprocess
import sys
import threading

if __name__ == "__main__":
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as program:
        # If the program ends first, so does this process.
        threading.Thread(target=lambda: os._exit(program.wait()), daemon=True).start()
        sys.stdin.buffer.read()
        program.kill()
