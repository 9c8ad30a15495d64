"""What the class of a method or a protocol must have and has not, told without importing its module, or torch.

Of a module that is imported (a one-file plugin's) the class itself is looked at, else its text; what a class takes from
another module's class is not known from its text, and nothing is said then.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ddbench.core.api import EvalProtocol, Method, Selector
from ddbench.core.names import nearest
from ddbench.core.plugin.limited import limited
from ddbench.core.plugin.registry import FIRST_PARTY
from ddbench.core.plugin.targets import absent

FUNCTIONS = {
    "select": "`select(self, ctx)`, which returns a Selection",
    "step": "`step(self, ctx)`, one iteration, which returns its losses as a dict",
    "finalise": "`finalise(self, ctx)`, which returns a CondensedSet",
    "state_dict": "`state_dict(self)`, which returns all that step changes",
    "load_state_dict": "`load_state_dict(self, state)`, which restores what state_dict returned",
    "fit": "`fit(self, condensed, make_model, seed, artifacts)`, which returns a predictor",
}
"""What to write of each."""
NEEDED: dict[type, tuple[str, ...]] = {
    Selector: ("select",), Method: ("step", "finalise", "state_dict", "load_state_dict"), EvalProtocol: ("fit",),
}  # fmt: skip
"""What subclasses must have; the first that fits counts."""


UNKNOWN = {"__getattr__", "exec", "eval", "setattr", "locals", "vars"}
"""What defines names that its text does not show."""


class Written(NamedTuple):
    """What a class has of its own.

    Attributes:
        base: The class of ddbench that it is derived from, one of :data:`NEEDED`.
        names: All that it and the classes between define.
        file: Where it stands.
    """

    base: type
    names: frozenset[str]
    file: str


def problem_of(target: str, plugin: str) -> str | None:
    """What is missing of a target, or what the class that it names lacks; ddbench's own classes are not looked at."""
    return absent(target) or (None if plugin == FIRST_PARTY else unwritten(target))


def unwritten(target: str) -> str | None:
    """What the class that ``"module:Name"`` names lacks, and what to write; None when nothing, or when it is not known.

    Args:
        target: As a record has it; its module is there.
    """
    module, _, name = target.partition(":")
    found = _imported(module, name) if module in sys.modules else _read(module, name)
    if found is None or (found.base is Selector and "step" in found.names):
        return None
    lacks = [one for one in NEEDED[found.base] if one not in found.names]
    if not lacks:
        return None
    unused = sorted(found.names - set(dir(found.base)))
    near = [(typed, one) for one in lacks for typed in nearest(one, unused, n=1, cutoffs=(0.7,))]
    misspelt = f"; it has {near[0][0]!r}, which nothing calls: is {near[0][1]!r} meant?" if near else ""
    return f"class {name} ({found.file}) lacks {'; '.join(FUNCTIONS[one] for one in lacks)}{misspelt}"


def _imported(module: str, name: str) -> Written | None:
    found = getattr(sys.modules[module], name, None)
    base = next((base for base in NEEDED if isinstance(found, type) and issubclass(found, base)), None)
    if base is None or not isinstance(found, type) or hasattr(found, "__getattr__"):
        return None
    names = {key for one in found.__mro__ if one not in base.__mro__ for key in vars(one)}
    return Written(base, frozenset(names), Path(getattr(sys.modules[module], "__file__", None) or module).name)


def _read(module: str, name: str) -> Written | None:
    try:
        with limited(f"importing the package of {module}"):
            spec = importlib.util.find_spec(module)
        file = Path(spec.origin if spec and spec.origin else module)
        tree = ast.parse(file.read_bytes())
    except KeyboardInterrupt:
        raise
    except BaseException:  # its package fails when imported, or it is no text: what needs it says so
        return None
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    again = _changed(tree)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "ddbench"]
    known = {alias.asname or alias.name: alias.name for node in imports for alias in node.names}
    bases = {base.__name__: base for base in NEEDED}
    names: set[str] = set()
    while (node := classes.pop(name, None)) is not None:
        if len(node.bases) != 1 or node.decorator_list or node.keywords or name in again:
            return None
        names.update(_defined(node))
        if names & UNKNOWN:
            return None
        parent = node.bases[0].value if isinstance(node.bases[0], ast.Subscript) else node.bases[0]
        if not isinstance(parent, ast.Name) or parent.id in again:
            return None
        if (base := bases.get(known.get(parent.id, ""))) is not None:
            return Written(base, frozenset(names), file.name)
        name = parent.id
    return None


def _defined(node: ast.ClassDef) -> Iterator[str]:
    """Names that anything in the body of a class may define, also those of deeper blocks, and what it calls."""
    for one in ast.walk(node):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            yield one.name
        elif isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            yield one.id
        elif isinstance(one, ast.alias):
            yield one.asname or one.name
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id in UNKNOWN:
            yield one.func.id


def _changed(tree: ast.Module) -> set[str]:
    """Names at the top of a module that are bound more than once, or whose attributes are set below."""
    bound: list[str] = []
    for one in tree.body:
        if isinstance(one, ast.ClassDef | ast.FunctionDef):
            bound.append(one.name)
            continue
        for part in ast.walk(one):
            if isinstance(part, ast.alias):
                bound.append(part.asname or part.name.partition(".")[0])
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                bound.append(part.id)
            elif isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                bound += [found.id for found in ast.walk(part.value) if isinstance(found, ast.Name)] * 2
            elif isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in UNKNOWN:
                bound += [found.id for found in ast.walk(part) if isinstance(found, ast.Name)] * 2
    return {name for name, times in Counter(bound).items() if times > 1}
