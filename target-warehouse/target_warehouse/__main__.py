"""`python -m target_warehouse` is the command line."""

from target_warehouse.command import main

main()
