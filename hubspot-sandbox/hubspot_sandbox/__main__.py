"""`python -m hubspot_sandbox` is the command line."""

from hubspot_sandbox.cli import main

main()
