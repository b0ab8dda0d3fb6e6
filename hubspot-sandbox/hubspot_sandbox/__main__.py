"""`python -m hubspot_sandbox` is the command line."""

from hubspot_sandbox.control.cli import main

main()
