"""Questions over HTTP."""

from backend_hub.http.routing import hub_router

router = hub_router("/questions", "questions")
answers = hub_router("/answers", "questions")
