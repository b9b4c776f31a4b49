"""What the program must never do, whoever writes it: run what it reads, or read what runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

RUNS_WHAT_IT_READS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
CALLS_THAT_RUN = {"eval", "exec", "compile", "__import__"}
LOADS = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False), "numpy.load": ("allow_pickle", False)}
"""Functions that unpickle unless told not to: what they must be told."""

_EXECUTES = (".execute", ".exec_driver_sql")


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for half in ("app", "training"):
        for path in sorted((ROOT / half).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def _name(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def test_nothing_imports_what_can_run_what_it_reads() -> None:
    seen, found = 0, []
    for path, tree in _modules():
        seen += 1
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [f"{path}: {name}" for name in names if name.partition(".")[0] in RUNS_WHAT_IT_READS]
    assert seen > 200
    assert found == []


def test_nothing_is_unpickled_by_another_name() -> None:
    """Arrays and weights are read by functions that unpickle, unless their call says that they shall not."""
    found = []
    for path, tree in _modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = _name(node.func)
            if name.endswith(("read_pickle", "to_pickle")) or name in CALLS_THAT_RUN:
                found.append(f"{path}: {name}")
            if name in LOADS:
                option, wanted = LOADS[name]
                told = {keyword.arg: keyword.value for keyword in node.keywords}
                if not (option in told and isinstance(told[option], ast.Constant) and told[option].value is wanted):  # type: ignore[attr-defined]
                    found.append(f"{path}: {name} without {option}={wanted}")
    assert found == []


def test_lines_of_the_log_pass_one_gate() -> None:
    """Where secrets are taken out and what callers sent is made harmless: no other part of the service decides how lines leave."""
    found = []
    for path, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and path.startswith("app/") and not path.startswith("app/telemetry/"):
                name = _name(node.func).rpartition(".")[2]
                if name in {
                    "basicConfig",
                    "addHandler",
                    "StreamHandler",
                    "FileHandler",
                    "Formatter",
                    "setFormatter",
                    "dictConfig",
                }:
                    found.append(f"{path}: {name}")
    assert found == []


def test_no_shell_reads_what_the_program_puts_together() -> None:
    found = []
    for path, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = _name(node.func)
                shell = any(keyword.arg == "shell" for keyword in node.keywords)
                if name in {"os.system", "os.popen"} or (shell and name.startswith("subprocess.")):
                    found.append(f"{path}: {name}")
    assert found == []


def test_statements_for_the_database_are_never_put_together_from_text() -> None:
    """Values reach it as parameters; the exceptions are numbers of ours."""
    seen, found = 0, []
    for path, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (_name(node.func) == "text" or _name(node.func).endswith(_EXECUTES)):
                seen += 1
                found += [
                    f"{path}: {ast.unparse(part)}" for part in node.args[:1] if isinstance(part, ast.JoinedStr | ast.BinOp)
                ]
    assert seen > 20
    assert [line for line in found if not any(number in line for number in ("{_WRITERS_LOCK}", "{_BUSY_SECONDS"))] == []
