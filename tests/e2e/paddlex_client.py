"""Sends images to a server as PaddleX's documentation does, and reads the answers with PaddleX's own models.

Run with PaddleX's Python: ``paddlex_client.py URL FILE...``; writes each file's best class and its score as JSON.
"""

import base64
import json
import sys
from pathlib import Path

import requests
from paddlex.inference.serving.infra.models import AIStudioNoResultResponse, AIStudioResultResponse
from paddlex.inference.serving.schemas.image_classification import INFER_ENDPOINT, InferRequest, InferResult

url, *files = sys.argv[1:]
session = requests.Session()
session.trust_env = False
for file in files:
    image = base64.b64encode(Path(file).read_bytes()).decode("ascii")
    payload = InferRequest(image=image, topk=2).model_dump(exclude_none=True)
    response = session.post(url + INFER_ENDPOINT, json=payload, timeout=60)
    assert response.status_code == 200, response.text
    answer = AIStudioResultResponse[InferResult].model_validate(response.json())
    assert answer.errorCode == 0
    best, second = answer.result.categories
    assert best.score >= second.score
    sys.stdout.write(json.dumps([best.name, best.score]) + "\n")
wrong = session.post(url + INFER_ENDPOINT, json={"image": "?"}, timeout=60)
assert wrong.status_code >= 400
assert AIStudioNoResultResponse.model_validate(wrong.json()).errorCode == wrong.status_code
health = session.get(url + "/health", timeout=60)
assert AIStudioNoResultResponse.model_validate(health.json()).errorCode == 0
