"""Every case, in the order of the table: by what fails."""

from faults.case import Case
from faults.cases import api_server, machine, outside, workloads

CASES: tuple[Case, ...] = (*workloads.CASES, *api_server.CASES, *outside.CASES, *machine.CASES)
