"""The statements of the peers that let PostgreSQL build the JSON."""

_AUTHOR = "json_build_object('id', u.id, 'username', u.username, 'display_name', u.display_name)"
_TAGS = (
    "(SELECT coalesce(json_agg(t.name ORDER BY pt.position), '[]') FROM post_tags pt"
    " JOIN tags t ON t.id = pt.tag_id WHERE pt.post_id = p.id)"
)
_TOPIC = "(SELECT json_build_object('slug', t.slug, 'name', t.name) FROM topics t WHERE t.id = p.topic_id)"
_POST = (
    "p.id, p.language, p.license, p.score, p.comment_count, p.revision, p.version,"
    f" p.created_at, p.updated_at, p.last_activity_at, {_AUTHOR} AS author"
)
_TITLED = f"{_POST}, p.title, {_TOPIC} AS topic, {_TAGS} AS tags"
_VISIBLE = "p.deleted_at IS NULL AND NOT p.parent_deleted AND NOT p.draft"
_QUESTION = "q.answer_count, q.accepted_answer_id, q.closed_at, q.close_reason"

SUMMARIES = f"""
SELECT json_build_object('items', coalesce(json_agg(page), '[]'))::text FROM (
  SELECT {_TITLED}, {_QUESTION} FROM posts p JOIN users u ON u.id = p.author_id
  JOIN questions q ON q.post_id = p.id
  WHERE p.kind = 'question' AND {_VISIBLE} ORDER BY p.id DESC LIMIT 20) AS page"""

WHOLE = f"""
SELECT row_to_json(whole)::text FROM (
  SELECT {_TITLED}, {_QUESTION}, p.body, p.body_html, (
    SELECT coalesce(json_agg(a ORDER BY a.accepted DESC, a.score DESC, a.id DESC), '[]') FROM (
      SELECT {_POST}, p.body, p.body_html, p.id IS NOT DISTINCT FROM q.accepted_answer_id AS accepted
      FROM posts p JOIN users u ON u.id = p.author_id
      WHERE p.parent_id = q.post_id AND {_VISIBLE} LIMIT 100) AS a) AS answers
  FROM posts p JOIN users u ON u.id = p.author_id JOIN questions q ON q.post_id = p.id
  WHERE p.id = $1 AND {_VISIBLE}) AS whole"""

SEARCH = f"""
SELECT json_build_object('items', coalesce(json_agg(hit ORDER BY hit.rank DESC, hit.id DESC), '[]'))::text
FROM (
  SELECT {_POST}, home.title, ts_headline('english', p.body, query) AS snippet, rank
  FROM (
    SELECT posts.id, ts_rank_cd(search, query, 1 | 32) AS rank, query
    FROM posts, websearch_to_tsquery('english', $1) AS query
    WHERE search @@ query AND kind <> 'contribution' AND deleted_at IS NULL AND NOT parent_deleted
      AND NOT draft
    ORDER BY rank DESC, id DESC LIMIT 20) AS found
  JOIN posts p ON p.id = found.id JOIN users u ON u.id = p.author_id
  JOIN posts home ON home.id = coalesce(p.parent_id, p.id)) AS hit"""

RESOURCES = f"""
WITH RECURSIVE below AS (
  SELECT id FROM topics WHERE slug = $1
  UNION SELECT t.id FROM topics t JOIN below ON t.parent_id = below.id)
SELECT json_build_object('items', coalesce(json_agg(page), '[]'))::text FROM (
  SELECT {_TITLED}, r.kind, r.level, r.link_type, r.url
  FROM posts p JOIN users u ON u.id = p.author_id JOIN resources r ON r.post_id = p.id
  WHERE p.kind = 'resource' AND {_VISIBLE} AND p.topic_id IN (SELECT id FROM below)
  ORDER BY p.id DESC LIMIT 20) AS page"""
