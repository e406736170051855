"""`python -m cplxsep` is the console script."""

from cplxsep.cli.app import main

main()
