"""Calls the functions as the Azure host would, without Azure: sample request in, queue message out."""

import json
import logging
import sys

import azure.functions as func

from function_app import app, process_feedback, submit_feedback

logging.basicConfig(stream=sys.stdout, format="  log: %(levelname)s %(message)s", level=logging.INFO)


class Output(func.Out[str]):
    """What the host passes in for an output binding."""

    def __init__(self) -> None:
        self.value: str | None = None

    def set(self, val: str) -> None:
        self.value = val

    def get(self) -> str | None:
        return self.value


def post(body: bytes) -> str | None:
    request = func.HttpRequest(method="POST", url="/api/feedback", body=body)
    message = Output()
    response = submit_feedback(request, message)
    answer = json.loads(response.get_body())
    shown = "a ticket" if "ticket" in answer else answer["error"]
    print(f"POST {body.decode()} -> {response.status_code} {shown}")
    if message.get() is not None:
        queued = json.loads(message.get())
        print("  same ticket in the queue:", queued["ticket"] == answer["ticket"])
    return message.get()


print("functions:", ", ".join(sorted(f.get_function_name() for f in app.get_functions())))

queue = [
    post(b'{"rating": 5, "text": "Clear and friendly."}'),
    post(b'{"rating": 1, "text": "The link was broken."}'),
    post(b'{"rating": 11}'),
    post(b"rating=5"),
]
for body in filter(None, queue):
    process_feedback(func.QueueMessage(body=body.encode()))
