"""Run in an environment with PaddleX alone: prints PaddleX's answers for images as JSON.

Arguments: the bundle's folder, a JSON list of files, and how to load: model or pipeline.
"""

import json
import sys
from pathlib import Path

import paddlex


def answers(bundle: str, files: list[str], how: str) -> dict[str, list]:
    if how == "model":
        name = "PP-LCNet_x1_0"
        loaded = paddlex.create_model(model_name=name, model_dir=bundle)
        found = loaded.predict(files, batch_size=16, topk=1)
    else:
        found = paddlex.create_pipeline(f"{bundle}/pipeline.yaml").predict(files, topk=1)
    results = [item.json["res"] for item in found]
    return {item["input_path"]: [item["label_names"][0], float(item["scores"][0])] for item in results}


if __name__ == "__main__":
    bundle, listing, how = sys.argv[1:4]
    files = json.loads(Path(listing).read_text(encoding="utf-8"))
    Path(f"{listing}.{how}").write_text(json.dumps(answers(bundle, files, how)), encoding="utf-8")
