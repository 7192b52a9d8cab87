"""What the product costs, and how quick it is: each figure beside the raw API server, or beside another build of it.

It goes by public interfaces alone: the command line, settings, HTTP ports, metrics, and the operating system's
accounting of processes; so it measures an older build as well as this one. Of this repository it imports `local`, and
from the contract in `api` the names of requests.
"""
