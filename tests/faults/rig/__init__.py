"""Papo as a whole, broken on purpose: processes, proxies that misbehave, pages that watch, and a judge.

The simulator's own record is the ledger: what phones really paid. The judge reads it and the shop's public routes
after everything has healed. Every observation goes into a history file; each run prints the seed that repeats it.
"""
