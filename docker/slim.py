"""Takes from an installation what the service never loads, and compiles what it does; run by the interpreter of that installation.

Nothing here may change what the service can do: whatever goes is a test, a source of compiled code, or a library that nothing links to.
"""

import compileall
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

RULES = {
    "pyarrow": [
        *("libarrow_flight.so*", "libarrow_python_flight.so*", "_flight*"),  # a network protocol
        *("libarrow_s3.so*", "_s3fs*"),  # a client of S3
        *("libarrow_python.so", "libarrow_python.so.*.*.*"),  # second and third copies of one file
        "include",
    ],
    "onnxruntime": [
        "capi/libonnxruntime.so*",  # the extension module holds it whole
        *("transformers", "tools", "quantization", "datasets"),  # for exporting models
    ],
}
"""Package → patterns in it."""
EVERYWHERE = ["*.pyi", "*.pyx", "*.pxd", "*.pxi", "*.c", "*.cpp", "*.h", "*.hpp", "*.a"]

LOADED = """
import contextlib, importlib, pkgutil, sys
import app
for found in pkgutil.walk_packages(app.__path__, "app."):
    # Of an extra that was left out; and what Alembic runs is no module by itself.
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module(found.name)
for module in list(sys.modules.values()):
    if getattr(module, "__cached__", None) and (getattr(module, "__file__", None) or "").endswith(".py"):
        print(module.__file__)
"""
"""Prints the files of everything that any part of the service imports."""


def main() -> None:
    """Slim the installation of this interpreter; a rule that finds nothing is a mistake, for then it is out of date."""
    packages = Path(sysconfig.get_paths()["purelib"])
    before, idle = _megabytes(packages), []
    for package, patterns in RULES.items():
        idle += [f"{package}: {pattern}" for pattern in patterns if not _remove((packages / package).glob(pattern))]
    for name in ("tests", "test"):
        _remove(path for path in packages.rglob(name) if path.is_dir())
    for pattern in EVERYWHERE:
        _remove(packages.rglob(pattern))
    if idle:
        raise SystemExit("nothing to remove by " + ", ".join(idle))
    slim = _megabytes(packages)
    print(f"{before} MB became {slim} MB and {_compile()} MB of compiled code")  # noqa: T201 - for the log of the build


def _remove(paths: Iterable[Path]) -> int:
    found = list(paths)
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return len(found)


def _compile() -> int:
    """Only what is imported: all would be four times as much, and without any each start takes two seconds longer."""
    loaded = [sys.executable, "-B", "-c", LOADED]
    files = subprocess.run(loaded, check=True, capture_output=True, text=True).stdout.splitlines()  # noqa: S603 - ours
    own = [file for file in files if Path(file).is_relative_to(sys.prefix)]
    if not all(compileall.compile_file(file, quiet=1) for file in own):
        raise SystemExit("not everything could be compiled")
    return sum(Path(importlib.util.cache_from_source(file)).stat().st_size for file in own) // 1_000_000


def _megabytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 1_000_000


if __name__ == "__main__":
    main()
