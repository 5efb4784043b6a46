import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # or gRPC tells of every connection that a test ends
