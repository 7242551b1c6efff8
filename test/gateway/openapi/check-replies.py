"""Reads an OpenAPI 3.1 document as the first line, then a line of JSON for each reply: what it should be by the document.

Answers each with a JSON list of what is wrong.
"""

import json
import sys

from jsonschema import Draft202012Validator

document = json.loads(sys.stdin.readline())
operations = {
    operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()
}


def complaints(reply):
    responses = operations[reply["operationId"]]["responses"]
    documented = responses.get(str(reply["status"]), responses.get("default"))
    if documented is None:
        return [f"status {reply['status']} is not documented"]
    content = documented.get("content")
    if content is None:
        return [] if reply["mediaType"] is None else [f"{reply['mediaType']} where no body is documented"]
    media = content.get(reply["mediaType"], content.get("*/*"))
    if media is None:
        return [f"{reply['mediaType']} is not documented"]
    if "schema" not in media or "body" not in reply:
        return []
    validator = Draft202012Validator({"components": document["components"], "allOf": [media["schema"]]})
    return [error.message[:500] for error in validator.iter_errors(reply["body"])]


for line in sys.stdin:
    print(json.dumps(complaints(json.loads(line))), flush=True)
