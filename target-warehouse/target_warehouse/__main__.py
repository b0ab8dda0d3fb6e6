"""`python -m target_warehouse` is the command line."""

from target_warehouse.singer.main import main

main()
