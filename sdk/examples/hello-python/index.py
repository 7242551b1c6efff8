"""A Python module: deploy with handler `index.handler`."""


def handler(event, context):
    name = (event or {}).get("name", "world")
    return {"greeting": f"Hello, {name}!"}
