"""Search, train, evaluate and predict from Python: the same as the commands. Half a minute on two cores."""

import sys
from pathlib import Path

import paddle_automl

CONFIG = Path(__file__).parents[1] / "configs" / "digits.yaml"
SMALL = {"training.epochs": 4, "refit.epochs": 6, "search.trials": 4}

output = Path(sys.argv[1] if len(sys.argv) > 1 else "output/python_use")

# A search: trials, refit of the best, one test, export, comparison of the exported network with the trained one.
found = paddle_automl.run_search(CONFIG, {**SMALL, "output": str(output / "search")}, progress=False)
print(found.trials_table()[["number", "state", "accuracy", "seconds"]])
print("best trial:", found.best.number, "test:", found.metrics["test"], "verified:", found.bundle.verified)

# One training of a configuration's own values, and its scores on a split.
trained = paddle_automl.train(CONFIG, {"training.epochs": 4, "output": str(output / "train")}, progress=False)
print("validation:", trained.metrics["accuracy"])
print("test:", paddle_automl.evaluate(output / "train", "test")["metrics"]["accuracy"])

# Prediction needs the bundle alone. It takes files, folders, bytes and Pillow images.
predictor = paddle_automl.Predictor(found.bundle.bundle)
for prediction in predictor.predict(sorted((found.bundle.bundle / "samples").glob("*.png"))):
    print(Path(prediction.path).name, prediction.label, f"{prediction.probability:.3f}")
