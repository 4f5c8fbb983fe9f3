"""Azure Functions (Python v2 model): take feedback over HTTP, queue it, process the queue."""

import json
import logging
import uuid

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

QUEUE = "feedback"
CONNECTION = "AzureWebJobsStorage"  # the NAME of an app setting: no secret in the code
MAX_BODY = 10_000


class InvalidFeedback(ValueError):
    pass


def parse_feedback(body: bytes) -> dict[str, str | int]:
    """Plain Python without anything of Azure: easy to test, easy to move elsewhere."""
    if len(body) > MAX_BODY:
        raise InvalidFeedback("the body is too large")
    try:
        data = json.loads(body)
    except ValueError as error:
        raise InvalidFeedback("the body is not JSON") from error
    if not isinstance(data, dict):
        raise InvalidFeedback("send a JSON object")
    rating, text = data.get("rating"), data.get("text", "")
    if type(rating) is not int or not 1 <= rating <= 5:  # not isinstance: True is an int, too
        raise InvalidFeedback("rating must be a number from 1 to 5")
    if not isinstance(text, str) or len(text) > 2_000:
        raise InvalidFeedback("text must be a string of at most 2000 characters")
    return {"rating": rating, "text": text.strip()}


def json_response(status: int, body: dict) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(body), status_code=status, mimetype="application/json")


@app.route(route="feedback", methods=["POST"])
@app.queue_output(arg_name="message", queue_name=QUEUE, connection=CONNECTION)
def submit_feedback(req: func.HttpRequest, message: func.Out[str]) -> func.HttpResponse:
    """Answer at once (202); the slow part happens in the function below."""
    try:
        feedback = parse_feedback(req.get_body())
    except InvalidFeedback as error:
        return json_response(400, {"error": str(error)})
    ticket = str(uuid.uuid4())
    message.set(json.dumps({"ticket": ticket, **feedback}))
    return json_response(202, {"ticket": ticket})


@app.queue_trigger(arg_name="message", queue_name=QUEUE, connection=CONNECTION)
def process_feedback(message: func.QueueMessage) -> None:
    """An exception puts the message back; after five attempts it lands in feedback-poison."""
    feedback = json.loads(message.get_body())
    if feedback["rating"] <= 2:
        logging.warning("rating of %d: somebody should look at it", feedback["rating"])
    else:
        logging.info("rating of %d stored", feedback["rating"])
