"""The root configuration, the jobs and the stages: the only package that depends on all others."""
