"""Windows, pretended, as far as Python's own names go: run as `python -m tests.windows_pretended ARGUMENTS OF CASS`.

Modules and names that Windows lacks are taken away before anything of cass is imported, and `sys.platform` says so to
it. What the libraries need is imported before, as those of Linux are other files. The file system is that of Linux.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
import types

LIBRARIES = (
    *("numpy", "scipy.stats", "pandas", "sklearn.linear_model", "sklearn.model_selection", "torch", "torch._dynamo"),
    *("torchvision", "timm", "PIL.Image", "typer", "rich.live", "matplotlib.pyplot", "jinja2", "pydantic", "yaml"),
    *("torch.distributed", "torch.optim.swa_utils", "safetensors.torch", "subprocess", "multiprocessing.connection"),
    *("concurrent.futures", "tempfile", "shutil", "logging.handlers", "ctypes.util", "asyncio", "urllib.request"),
)
MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "syslog", "posix")
OF_OS = (
    *("fork", "forkpty", "getuid", "geteuid", "getgid", "getegid", "getgroups", "setsid", "getpgid", "killpg", "chown"),
    *("fchown", "lchown", "mkfifo", "mknod", "sched_getaffinity", "sched_setaffinity", "sysconf", "fchmod"),
    *("posix_fallocate", "posix_fadvise", "pread", "pwrite", "sync", "fdatasync", "uname", "getloadavg", "nice"),
    *("O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "O_CLOEXEC", "O_SYNC", "WNOHANG", "sendfile", "setxattr", "getxattr"),
)
OF_SIGNAL = (
    *("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGXCPU", "SIGKILL", "SIGPIPE", "SIGALRM", "SIGCHLD", "SIGSTOP", "SIGTSTP"),
    *("alarm", "setitimer", "pause", "sigwait", "pthread_sigmask", "pthread_kill", "SIGQUIT", "SIGCONT", "SIGWINCH"),
)


def pretend() -> None:
    """Take away what Windows lacks."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]  # so that an import of it fails
    for module, names in ((os, OF_OS), (signal, OF_SIGNAL)):
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    locks = types.ModuleType("msvcrt")
    locks.locking = lambda *_: None  # type: ignore[attr-defined]
    locks.LK_NBLCK, locks.LK_UNLCK = 2, 0  # type: ignore[attr-defined]
    sys.modules["msvcrt"] = locks
    sys.platform = "win32"


def main() -> int:
    """Import every module of cass; with arguments, run it with them."""
    pretend()
    import cass_cli

    names = [found.name for found in pkgutil.walk_packages(cass_cli.__path__, "cass_cli.")]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    print(len(names), "modules", flush=True)
    from cass_cli.cli.app import run

    return run(sys.argv[1:]) if sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
