"""Bad inputs at full number against a running server: `python -m tests.abuse`, which `make abuse` runs."""
