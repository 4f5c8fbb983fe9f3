import hashlib
import json
from itertools import count

from flask import Flask, Response, request, url_for
from werkzeug.exceptions import HTTPException

PAGE_SIZE = 2


def problem(status, title, **extra):
    """An error in the standard format of RFC 9457."""
    body = {"status": status, "title": title, **extra}
    return Response(json.dumps(body), status, mimetype="application/problem+json")


def validate(body):
    """Return the article and a message for each field that is wrong."""
    if not isinstance(body, dict):
        return None, {"body": "must be a JSON object"}
    article = {name: body.get(name) for name in ("title", "text")}
    errors = {
        name: "must be a text that is not empty"
        for name, value in article.items()
        if not isinstance(value, str) or not value.strip()
    }
    return article, errors


def create_app():
    app = Flask(__name__)
    articles = {}  # id -> article; a database in real life
    new_id = count(1)  # an id is never used again, even after a DELETE

    def represent(article_id):
        return {"id": article_id, **articles[article_id]}

    def etag(article_id):
        """A fingerprint that changes whenever the article does."""
        content = json.dumps(represent(article_id), sort_keys=True).encode()
        return hashlib.sha256(content).hexdigest()[:16]

    def answer(article_id, status=200):
        response = Response(
            json.dumps(represent(article_id)), status, mimetype="application/json"
        )
        response.set_etag(etag(article_id))
        response.headers["Cache-Control"] = "no-cache"  # keep it, but ask before use
        return response

    @app.errorhandler(HTTPException)
    def http_error(error):
        response = problem(error.code, error.name)
        if allow := dict(error.get_headers()).get("Allow"):
            response.headers["Allow"] = allow
        return response

    @app.get("/articles")
    def list_articles():
        after = request.args.get("after", default=0, type=int)
        ids = sorted(i for i in articles if i > after)
        page, more = ids[:PAGE_SIZE], len(ids) > PAGE_SIZE
        response = Response(
            json.dumps([represent(i) for i in page]), mimetype="application/json"
        )
        if more:  # the client follows this link; it never builds the URL itself
            following = url_for("list_articles", after=page[-1])
            response.headers["Link"] = f'<{following}>; rel="next"'
        return response

    @app.post("/articles")
    def create_article():
        article, errors = validate(request.get_json())
        if errors:
            return problem(422, "The article is not valid", errors=errors)
        article_id = next(new_id)
        articles[article_id] = article
        response = answer(article_id, 201)
        response.headers["Location"] = url_for("get_article", article_id=article_id)
        return response

    @app.get("/articles/<int:article_id>")
    def get_article(article_id):
        if article_id not in articles:
            return problem(404, "There is no such article")
        return answer(article_id).make_conditional(request)  # 304 when unchanged

    @app.put("/articles/<int:article_id>")
    def replace_article(article_id):
        if article_id not in articles:
            return problem(404, "There is no such article")
        if not request.if_match:
            return problem(428, "Send If-Match with the ETag that you have read")
        if not request.if_match.contains(etag(article_id)):
            return problem(412, "Somebody else has changed the article")
        article, errors = validate(request.get_json())
        if errors:
            return problem(422, "The article is not valid", errors=errors)
        articles[article_id] = article
        return answer(article_id)

    @app.delete("/articles/<int:article_id>")
    def delete_article(article_id):
        articles.pop(article_id, None)  # a repeated DELETE has the same effect
        return "", 204

    return app
