import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # or gRPC tells of every connection that a test ends
