"""`python -m ddbench` is `ddbench`."""

from ddbench.cli import main

main()
