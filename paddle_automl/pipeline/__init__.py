"""The root configuration, the evaluator and the stages: the only package that knows all others."""
