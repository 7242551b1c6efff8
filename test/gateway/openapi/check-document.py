"""Reads an OpenAPI 3.1 document from stdin and writes a JSON list of what is wrong in it, examples included."""

import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator


def examples_in(node, path=""):
    """Every media type's example, with the schema beside it and where it was."""
    if isinstance(node, dict):
        if "schema" in node and "example" in node:
            yield path, node["schema"], node["example"]
        if "schema" in node and "examples" in node:
            for name, example in node["examples"].items():
                if "value" in example:
                    yield f"{path}/{name}", node["schema"], example["value"]
        for key, value in node.items():
            if key not in ("example", "examples"):
                yield from examples_in(value, f"{path}/{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from examples_in(value, f"{path}/{index}")


document = json.load(sys.stdin)
wrong = [error.message[:300] for error in OpenAPIV31SpecValidator(document).iter_errors()]
seen = 0
for path, schema, example in examples_in(document["paths"]):
    seen += 1
    # References in it lead to the document's components.
    validator = Draft202012Validator({"components": document["components"], "allOf": [schema]})
    wrong += [f"{path}: {error.message[:300]}" for error in validator.iter_errors(example)]
if seen < 50:
    wrong.append(f"only {seen} examples were found")
print(json.dumps(wrong))
