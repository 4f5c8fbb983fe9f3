"""Search over HTTP."""

from backend_hub.http.routing import hub_router

router = hub_router("/search", "search")
