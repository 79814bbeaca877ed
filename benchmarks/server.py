"""`innominatus`, with the benchmark's step type."""

from benchmarks import noop
from cli import server

if __name__ == "__main__":
    noop.register()
    server.main()
