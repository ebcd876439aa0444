"""The jobs that run in separate processes, each with a frozen request and a typed result."""
