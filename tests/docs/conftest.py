"""How commands of documents are run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddbench.cli import invoke

PROGRAMS = {"ddbench": str(Path(sys.executable).with_name("ddbench")), "python": sys.executable}


@pytest.fixture
def typed(monkeypatch, capsys):
    """Runs a command line in a folder and with a home, as it is typed there or, which is faster, in this process."""

    def run(words, folder, home, *, here):
        environment = {"DDBENCH_HOME": str(home), "OMP_NUM_THREADS": "1"}
        if not here:
            return subprocess.run(
                [PROGRAMS[words[0]], *words[1:]], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True,
                timeout=280,
            )  # fmt: skip
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(folder)
            for name, value in environment.items():
                patch.setenv(name, value)
            code = invoke(words[1:])
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return run
