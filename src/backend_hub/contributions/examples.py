"""Examples for Swagger UI; those that need no id work on a fresh hub."""

from fastapi.openapi.models import Example

CREATE_EXAMPLES: dict[str, Example] = {
    "new_resource": {
        "summary": "Propose a new resource",
        "value": {
            "title": "Add the guide to pytest fixtures",
            "body": "The catalogue has nothing on fixtures, and this is **the** reference.",
            "proposal": {
                "kind": "link",
                "title": "How to use fixtures",
                "url": "https://docs.pytest.org/en/stable/how-to/fixtures.html",
                "link_type": "documentation",
                "body": "Fixtures from the first one to scopes and factories.",
                "topic": "testing",
                "tags": ["testing", "python"],
                "level": "beginner",
            },
        },
    },
}

UPDATE_EXAMPLES: dict[str, Example] = {
    "patch": {
        "summary": "Change a part of the proposal",
        "value": {"changes": {"level": "intermediate"}, "summary": "As the reviewer asked"},
    },
    "explain": {
        "summary": "Explain it better",
        "value": {"body": "The catalogue has nothing on fixtures; beginners ask for it weekly."},
    },
}

REVIEW_EXAMPLES: dict[str, Example] = {
    "approve": {"summary": "Approve", "value": {"decision": "approve"}},
    "request_changes": {
        "summary": "Ask for changes",
        "value": {"decision": "request_changes", "body": "Please name the version it is about."},
    },
}
