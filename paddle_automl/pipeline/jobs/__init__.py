"""The jobs that run in processes of their own: a frozen request and a typed result each."""
