"""The benchmark: what Papo costs over the least that the same work can cost. `make bench`; docs/benchmarks.md."""
