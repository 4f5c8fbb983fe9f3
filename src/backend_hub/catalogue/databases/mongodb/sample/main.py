"""An article store on MongoDB: document design, unique index, atomic updates, aggregation."""

import os
import uuid
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel, MongoClient, ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

MAX_COMMENTS = 3  # embedded arrays must have a bound; a document may not exceed 16 MB


def connect() -> MongoClient:
    url = os.environ.get("MONGODB_URL")
    if url:
        return MongoClient(url, serverSelectionTimeoutMS=5_000, timeoutMS=10_000, tz_aware=True)
    import mongomock  # no server at hand: an in-memory imitation, good enough to learn with

    return mongomock.MongoClient(tz_aware=True)


class Articles:
    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        collection.create_indexes([
            IndexModel([("slug", ASCENDING)], unique=True),
            # Serves "newest articles with this tag": equality first, then the sort key.
            IndexModel([("tags", ASCENDING), ("published_at", DESCENDING)]),
        ])

    def publish(self, slug: str, title: str, tags: list[str], day: int) -> None:
        self.collection.insert_one({
            "slug": slug,
            "title": title,
            "tags": tags,
            "published_at": datetime(2026, 11, day, tzinfo=UTC),
            "comments": [],
            "comment_count": 0,
        })

    def comment(self, slug: str, author: str, text: str) -> dict[str, Any] | None:
        """Add a comment unless the article is full: test and change in one atomic step."""
        return self.collection.find_one_and_update(
            # $eq: the value is only ever a value, even if a client sends {"$ne": null}.
            {"slug": {"$eq": slug}, "comment_count": {"$lt": MAX_COMMENTS}},
            {
                "$push": {"comments": {"author": author, "text": text}},
                "$inc": {"comment_count": 1},
            },
            return_document=ReturnDocument.AFTER,
        )

    def newest(self, tag: str, before: datetime | None = None, limit: int = 2) -> list[dict]:
        """A page of articles. The last one's date is the cursor for the next page."""
        query: dict[str, Any] = {"tags": {"$eq": tag}}
        if before is not None:
            query["published_at"] = {"$lt": before}
        fields = {"_id": 0, "slug": 1, "published_at": 1}
        return list(self.collection.find(query, fields).sort("published_at", DESCENDING).limit(limit))

    def tag_statistics(self) -> list[dict]:
        return list(self.collection.aggregate([
            {"$unwind": "$tags"},
            {"$group": {
                "_id": "$tags",
                "articles": {"$sum": 1},
                "comments": {"$sum": "$comment_count"},
            }},
            {"$sort": {"articles": -1, "_id": 1}},
        ]))


def demo(articles: Articles) -> None:
    articles.publish("what-is-an-index", "What is an index?", ["databases", "performance"], day=1)
    articles.publish("hashing-passwords", "Hashing passwords", ["security"], day=2)
    articles.publish("query-plans", "Reading query plans", ["databases", "performance"], day=3)
    articles.publish("backups", "Backups you have restored", ["databases"], day=4)

    try:
        articles.publish("backups", "The same slug again", ["databases"], day=5)
    except DuplicateKeyError as error:
        print("refused by the unique index:", error.code)

    for author in ("ada", "linus", "grace", "alan"):
        article = articles.comment("query-plans", author, "Thank you!")
        print(f"comment by {author}:", f"number {article['comment_count']}" if article else "refused, full")

    page = articles.newest("databases")
    print("newest:", [article["slug"] for article in page])
    page = articles.newest("databases", before=page[-1]["published_at"])
    print("next page:", [article["slug"] for article in page])

    commented = articles.collection.find({"comments.author": "ada"}, {"slug": 1})
    print("ada commented on:", [article["slug"] for article in commented])

    for row in articles.tag_statistics():
        print(f"tag {row['_id']}: {row['articles']} articles, {row['comments']} comments")


with connect() as client:
    collection = client["backend_hub_demo"][f"articles_{uuid.uuid4().hex[:12]}"]
    try:
        demo(Articles(collection))
    finally:
        collection.drop()
