"""The stages of a command under one deadline."""
