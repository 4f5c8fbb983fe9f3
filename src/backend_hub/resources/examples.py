"""Examples for Swagger UI that work on a fresh hub."""

from fastapi.openapi.models import Example

CREATE_EXAMPLES: dict[str, Example] = {
    "link": {
        "summary": "A link",
        "value": {
            "kind": "link",
            "title": "Notes on Distributed Systems for Young Bloods",
            "url": "https://www.somethingsimilar.com/2013/01/14/notes-on-distributed-systems-for-young-bloods/",
            "link_type": "article",
            "body": "What experience teaches about systems that **fail in part**.",
            "topic": "deployment",
            "tags": ["deployment", "performance"],
            "level": "intermediate",
        },
    },
    "code_sample": {
        "summary": "A code sample",
        "value": {
            "kind": "code_sample",
            "title": "Read a JSON file safely",
            "body": "Opens the file with an encoding, and says what is wrong with it.",
            "topic": "python",
            "tags": ["python"],
            "level": "beginner",
            "programming_language": "python",
            "files": [{"name": "main.py", "content": "import json\nprint(json.loads('[1]'))\n"}],
            "run": "python main.py",
            "expected_output": "[1]",
        },
    },
    "project": {
        "summary": "A project",
        "value": {
            "kind": "project",
            "title": "A URL shortener",
            "body": "Build a service that makes short links, and counts their visits.",
            "topic": "rest",
            "tags": ["rest", "api-design"],
            "level": "beginner",
            "difficulty": "easy",
            "estimated_hours": 8,
            "milestones": [{"title": "Redirects", "description": "GET /x answers 307."}],
            "acceptance_criteria": ["An unknown short link answers 404."],
        },
    },
}

UPDATE_EXAMPLES: dict[str, Example] = {
    "retitle": {
        "summary": "Another title",
        "value": {"title": "Say hello to a hub", "summary": "A verb first"},
    },
    "clear_level": {"summary": "Take the level away", "value": {"level": None}},
}
