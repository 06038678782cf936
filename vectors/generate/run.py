"""Rewrite vectors/ from the generators beside this file, or check that it is what they make.

A generator is a module here that has `AREAS`, the folders of vectors/ that it alone owns, and `generate()`, which
returns every file of them: path below vectors/ to bytes. A file in an owned folder that is not returned is stale. A
module whose name begins with _ is none: several generators share it. manifest.json names every vector, whoever made it.

    python vectors/generate/run.py [--check] [GENERATOR …]
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from blake3 import blake3

HERE = Path(__file__).resolve().parent
MANIFEST = "manifest.json"
NO_VECTORS = frozenset((MANIFEST, "README.md", "schema.json"))


def main(argv: list[str] | None = None) -> int:
    """Return 0, or 1 after naming each file that differs."""
    parser = argparse.ArgumentParser(description="rewrite vectors/ from its generators")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a file is missing, stale or different"
    )
    parser.add_argument("generators", nargs="*", help="names without .py; all of them if none is given")
    options = parser.parse_args(argv)
    modules = load(HERE, only=options.generators)
    folders, files = collect(modules)
    files[MANIFEST] = manifest(HERE.parent, folders, files)
    folders.add(MANIFEST)
    differences = compare(HERE.parent, folders, files)
    if options.check:
        for line in differences:
            print(f"error: vectors/{line}", file=sys.stderr)
        if differences:
            print("hint: run `make vectors` and read the diff", file=sys.stderr)
        return 1 if differences else 0
    write(HERE.parent, folders, files)
    print(f"{len(files)} files from {len(modules)} generators, {len(differences)} changed")
    return 0


def load(folder: Path, *, only: Iterable[str] = ()) -> list[ModuleType]:
    """Return the generators of `folder` in order of name. Raises: SystemExit: a name of `only` is none of them."""
    paths = {
        path.stem: path for path in sorted(folder.glob("*.py")) if path.stem != "run" and not path.stem.startswith("_")
    }
    unknown = sorted(set(only) - paths.keys())
    if unknown:
        raise SystemExit(f"error: no generator named {', '.join(unknown)}; there are {', '.join(paths)}")
    modules = [_import(paths[name]) for name in (sorted(set(only)) or paths)]
    for module in modules:
        if not (hasattr(module, "AREAS") and hasattr(module, "generate")):
            raise SystemExit(
                f"error: {module.__name__}.py: no AREAS or no generate(); begin the name with _ if it is no generator"
            )
    return modules


def collect(modules: Iterable[ModuleType]) -> tuple[set[str], dict[str, bytes]]:
    """Return the folders owned and the files made. Raises: SystemExit: two own one folder, or a file lies outside."""
    folders: set[str] = set()
    files: dict[str, bytes] = {}
    for module in modules:
        own = set(module.AREAS)
        if folders & own:
            raise SystemExit(f"error: {module.__name__}: {sorted(folders & own)} belongs to another generator too")
        made: dict[str, bytes] = module.generate()
        stray = sorted(path for path in made if path.partition("/")[0] not in own or ".." in path)
        if stray:
            raise SystemExit(f"error: {module.__name__}: {stray[0]} lies outside of {sorted(own)}")
        folders |= own
        files |= made
    return folders, files


def manifest(root: Path, folders: Iterable[str], files: dict[str, bytes]) -> bytes:
    """Return manifest.json: each vector's count of cases and plain BLAKE3, and how many cases each area has.

    Vectors are what was made, and whatever else lies below `root` outside of the folders owned and of generate/.
    """
    borrowed = {
        path: (root / path).read_bytes()
        for path in _present(root, (child.name for child in root.iterdir() if child.name not in ("generate", *folders)))
        if path not in NO_VECTORS
    }
    areas: dict[str, int] = {}
    lines = []
    for path, raw in sorted({**borrowed, **files}.items()):
        cases = _count(raw)
        areas[path.partition("/")[0]] = areas.get(path.partition("/")[0], 0) + cases
        lines.append(f'    "{path}": {{"cases": {cases}, "blake3": "{blake3(raw).hexdigest()}"}}')
    head = f'{{\n  "v": 1,\n  "areas": {json.dumps(areas)},\n  "files": {{\n'
    return (head + ",\n".join(lines) + "\n  }\n}\n").encode("ascii")


def _count(raw: bytes) -> int:
    """A file is one case, or a list of cases that are objects."""
    try:
        held = json.loads(raw)
    except ValueError:
        return 1
    return len(held) if isinstance(held, list) and all(isinstance(case, dict) for case in held) else 1


def compare(root: Path, folders: Iterable[str], files: dict[str, bytes]) -> list[str]:
    """Return one line for each file under `root` that is missing, stale or different."""
    present = _present(root, folders)
    lines = [f"{path}: stale, no generator makes it" for path in present - files.keys()]
    lines += [f"{path}: missing" for path in files.keys() - present]
    lines += [
        f"{path}: differs from what is generated"
        for path in files.keys() & present
        if (root / path).read_bytes() != files[path]
    ]
    return sorted(lines)


def write(root: Path, folders: Iterable[str], files: dict[str, bytes]) -> None:
    """Make the folders hold exactly `files`."""
    for path in _present(root, folders) - files.keys():
        (root / path).unlink()
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def _present(root: Path, folders: Iterable[str]) -> set[str]:
    paths = (path for folder in folders for path in (root / folder, *(root / folder).rglob("*")))
    return {path.relative_to(root).as_posix() for path in paths if path.is_file() and "__pycache__" not in path.parts}


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up here
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))  # generators import what they share as vectors.generate._name
    sys.exit(main())
