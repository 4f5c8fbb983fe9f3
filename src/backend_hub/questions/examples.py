"""Examples for Swagger UI that work on a fresh hub."""

from fastapi.openapi.models import Example

from backend_hub.http.openapi_examples import EXAMPLE_IDS

ASK_EXAMPLES: dict[str, Example] = {
    "question": {
        "summary": "A question",
        "value": {
            "title": "Why is my index not used?",
            "body": "I have an index on `email`, but the plan shows a **Seq Scan**.",
            "topic": "postgresql",
            "tags": ["postgresql", "indexes"],
        },
    },
}

EDIT_EXAMPLES: dict[str, Example] = {
    "retitle": {
        "summary": "A clearer title",
        "value": {"title": "Why does lower(email) not use my index?", "summary": "Clearer"},
    },
    "clear_topic": {"summary": "Take the topic away", "value": {"topic": None}},
}

ANSWER_EXAMPLES: dict[str, Example] = {
    "answer": {
        "summary": "An answer",
        "value": {"body": "The query calls `lower(email)`: index that expression."},
    },
}

EDIT_ANSWER_EXAMPLES: dict[str, Example] = {
    "rewrite": {
        "summary": "Another text",
        "value": {
            "body": "Create the index on `lower(email)`, then run `ANALYZE`.",
            "summary": "Name the statement",
        },
    },
}

CLOSE_EXAMPLES: dict[str, Example] = {
    "needs_details": {"summary": "It lacks details", "value": {"reason": "needs_details"}},
    "duplicate": {
        "summary": "It was asked before",
        "value": {
            "reason": "duplicate",
            "duplicate_of_id": EXAMPLE_IDS["duplicate_of_id"],
        },
    },
}

ACCEPT_EXAMPLES: dict[str, Example] = {
    "accept": {
        "summary": "This one solved it",
        "value": {"answer_id": EXAMPLE_IDS["answer_id"]},
    },
}
