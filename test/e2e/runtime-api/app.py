"""A handler as one would write it for Lambda, called by the package awslambdaric."""


def handler(event, context):
    if event.get("fail"):
        raise ValueError("not today")
    return {"event": event, "id": context.aws_request_id, "arn": context.invoked_function_arn}
