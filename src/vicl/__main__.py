"""`python -m vicl` is `vicl`."""

from vicl.cli import main

main(prog_name="vicl")
