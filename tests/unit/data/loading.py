"""Loading a data set by its name, for the tests of data sets."""

from paddle_automl.data.datasets.base import DATASETS


def load(name, **options):
    """Return the samples of a data set with these options."""
    cls = DATASETS[name]
    return cls(cls.Config.model_validate({"name": name, **options})).load()


def sizes(samples):
    """Return how many items each split has."""
    return {split: len(rows) for split, rows in samples.splits.items()}
