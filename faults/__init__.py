"""What is promised when something fails, played on real processes: no order lost, doubled, or ended wrongly.

It goes by public interfaces alone, as `benchmarks` does: of this repository it imports `local`, and of the contract in
`api` the names of requests.
"""
