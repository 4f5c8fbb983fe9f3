"""Calls the handler with sample events. moto answers in the place of AWS: no account, no cost."""

import json
import os

# Dummy values, set before boto3 is imported, so that no real account can be touched by accident.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION="eu-central-1"
)
os.environ.pop("AWS_PROFILE", None)

from moto import mock_aws  # noqa: E402


def call(route: str, body: object = None, **path: str) -> None:
    from handler import lambda_handler

    event = {  # the parts of API Gateway's payload format 2.0 that we use
        "version": "2.0",
        "routeKey": route,
        "pathParameters": path,
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
    response = lambda_handler(event, None)
    shown = response.get("body") or response["headers"]["location"]
    print(route, "->", response["statusCode"], shown)


with mock_aws():
    from handler import dynamodb, table

    dynamodb.create_table(
        TableName=table.name,
        KeySchema=[{"AttributeName": "slug", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "slug", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    call("POST /links", {"slug": "docs", "target": "https://example.org/documentation"})
    call("POST /links", {"slug": "docs", "target": "https://example.org/other"})
    call("POST /links", {"slug": "bad", "target": "javascript:alert(1)"})
    call("POST /links", ["not", "an", "object"])
    call("GET /{slug}", slug="docs")
    call("GET /{slug}", slug="docs")
    call("GET /{slug}", slug="missing")
    print("hits:", table.get_item(Key={"slug": "docs"})["Item"]["hits"])
