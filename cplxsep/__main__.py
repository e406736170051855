"""`python -m cplxsep` is the console script."""

from cplxsep.cli.start import main

main()
