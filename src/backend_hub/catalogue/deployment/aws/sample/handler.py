"""An AWS Lambda function behind an API Gateway HTTP API: short links kept in DynamoDB."""

import json
import logging
import os
import re
from base64 import b64decode
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

logger = logging.getLogger()
logger.setLevel(logging.INFO)

# Created once a container and shared by all its invocations. No credentials here: on AWS the
# function's role provides them, and that role may touch this one table only.
dynamodb = boto3.resource(
    "dynamodb",
    config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "max_attempts": 3}),
)
table = dynamodb.Table(os.environ.get("TABLE_NAME", "short-links"))

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{1,38}[a-z0-9]")


class BadRequest(Exception):
    pass


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    request_id = getattr(context, "aws_request_id", "local")
    try:
        match event["routeKey"]:
            case "POST /links":
                return create(event)
            case "GET /{slug}":
                return follow(event["pathParameters"]["slug"])
            case _:
                return answer(404, {"error": "no such route"})
    except BadRequest as error:
        return answer(400, {"error": str(error)})
    except Exception:
        # The details go to the log; the caller gets an id to quote.
        logger.exception("request %s failed", request_id)
        return answer(500, {"error": "internal error", "request_id": request_id})


def create(event: dict[str, Any]) -> dict[str, Any]:
    slug, target = parse(event)
    try:
        # The condition makes "check, then write" one atomic step, however many functions run.
        table.put_item(
            Item={"slug": slug, "target": target, "hits": 0},
            ConditionExpression="attribute_not_exists(slug)",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return answer(409, {"error": "this slug is taken"})
        raise
    return answer(201, {"slug": slug, "target": target})


def follow(slug: str) -> dict[str, Any]:
    try:
        updated = table.update_item(
            Key={"slug": slug},
            UpdateExpression="ADD hits :one",
            ConditionExpression="attribute_exists(slug)",
            ExpressionAttributeValues={":one": 1},
            ReturnValues="ALL_NEW",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return answer(404, {"error": "no such link"})
        raise
    return {"statusCode": 302, "headers": {"location": updated["Attributes"]["target"]}}


def parse(event: dict[str, Any]) -> tuple[str, str]:
    body = event.get("body") or ""
    try:
        data = json.loads(b64decode(body) if event.get("isBase64Encoded") else body)
        slug, target = data["slug"], data["target"]
        url = urlsplit(target)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest("send a JSON object with slug and target") from error
    if not isinstance(slug, str) or not SLUG.fullmatch(slug):
        raise BadRequest("slug: 3 to 40 characters of a-z, 0-9 and -")
    if not isinstance(target, str) or url.scheme != "https" or not url.hostname or len(target) > 2000:
        raise BadRequest("target: an https address")
    return slug, target


def answer(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
    }
