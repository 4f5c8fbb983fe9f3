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
_COMMENTS = f"""(
      SELECT coalesce(json_agg(first), '[]') FROM (
        SELECT c.id, c.post_id, {_AUTHOR} AS author, c.body, c.body_html, c.version, c.created_at,
          c.updated_at
        FROM comments c JOIN users u ON u.id = c.author_id
        WHERE c.post_id = p.id AND c.deleted_at IS NULL ORDER BY c.id LIMIT 20) AS first)"""
_QUESTION = "q.answer_count, q.accepted_answer_id, q.closed_at, q.close_reason"
_TAG_OF_PAGE = (
    "md5(string_agg(concat_ws('.', page.id, page.version, page.score, page.comment_count), ','))"
)


def _summaries(condition: str) -> str:
    """The body, and the entity tag of what is on the page."""
    return f"""
SELECT json_build_object('items', coalesce(json_agg(page), '[]'))::text, {_TAG_OF_PAGE} FROM (
  SELECT {_TITLED}, {_QUESTION} FROM posts p JOIN users u ON u.id = p.author_id
  JOIN questions q ON q.post_id = p.id
  WHERE p.kind = 'question' AND {_VISIBLE} {condition} ORDER BY p.id DESC LIMIT 20) AS page"""


SUMMARIES = _summaries("")
BEFORE = _summaries("AND p.id < $1")

ENTITY_TAG = f"""
SELECT {_TAG_OF_PAGE} FROM (
  SELECT p.id, p.version, p.score, p.comment_count FROM posts p
  WHERE p.kind = 'question' AND {_VISIBLE} ORDER BY p.id DESC LIMIT 20) AS page"""

WHOLE = f"""
SELECT row_to_json(whole)::text FROM (
  SELECT {_TITLED}, {_QUESTION}, p.body, p.body_html, {_COMMENTS} AS comments, (
    SELECT coalesce(json_agg(best), '[]') FROM (
      SELECT {_POST}, p.body, p.body_html, p.id IS NOT DISTINCT FROM q.accepted_answer_id AS accepted,
        {_COMMENTS} AS comments
      FROM posts p JOIN users u ON u.id = p.author_id
      WHERE p.parent_id = q.post_id AND {_VISIBLE}
      ORDER BY accepted DESC, p.score DESC, p.id DESC LIMIT 100) AS best) AS answers
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

# $1 the asker, $2 the post's id, $3 title, $4 body, $5 its HTML, $6 topic, $7 tags, $8 the key of
# idempotency, $9 a hash of the request. No row: the key is taken (REPLAY), or nobody asks.
ASK = """
WITH asker AS (
  SELECT id, username, display_name FROM users WHERE id = $1::uuid AND disabled_at IS NULL),
home AS (SELECT id, slug, name FROM topics WHERE slug = $6::text),
chosen AS (
  SELECT t.id, t.name, w.n FROM unnest($7::text[]) WITH ORDINALITY AS w (name, n)
  JOIN tags t ON t.name = w.name),
made AS (
  SELECT row_to_json(made)::text AS body FROM (
    SELECT $2::uuid AS id, 'en' AS language, 'CC-BY-SA-4.0' AS license, 0 AS score,
      0 AS comment_count, 1 AS revision, 1 AS version, now() AS created_at, now() AS updated_at,
      now() AS last_activity_at,
      (SELECT json_build_object('id', id, 'username', username, 'display_name', display_name)
       FROM asker) AS author,
      $3::text AS title, (SELECT json_build_object('slug', slug, 'name', name) FROM home) AS topic,
      (SELECT coalesce(json_agg(name ORDER BY n), '[]') FROM chosen) AS tags, 0 AS answer_count,
      NULL AS accepted_answer_id, NULL AS closed_at, NULL AS close_reason, $4::text AS body,
      $5::text AS body_html, json_build_array() AS comments, json_build_array() AS answers
    FROM asker) AS made),
kept AS (
  INSERT INTO idempotency_records (owner, key, request_hash, status, location, body)
  SELECT ($1::uuid)::text, $8::text, $9::text, 201, '/questions/' || $2::uuid,
    convert_to(made.body, 'UTF8') FROM made
  ON CONFLICT DO NOTHING RETURNING owner),
post AS (
  INSERT INTO posts (id, kind, author_id, topic_id, title, body, body_html, language, license,
    revision, version, updated_at, last_activity_at, search_config, search)
  SELECT $2::uuid, 'question', asker.id, (SELECT id FROM home), $3::text, $4::text, $5::text, 'en',
    'CC-BY-SA-4.0', 1, 1, now(), now(), 'english',
    setweight(to_tsvector('english', $3::text), 'A') || setweight(to_tsvector('english', $4::text), 'C')
  FROM asker, kept RETURNING id),
asked AS (INSERT INTO questions (post_id) SELECT id FROM post),
tagged AS (
  INSERT INTO post_tags (post_id, tag_id, position)
  SELECT post.id, chosen.id, chosen.n - 1 FROM post, chosen)
SELECT made.body FROM made, kept"""

REPLAY = """
SELECT convert_from(body, 'UTF8') FROM idempotency_records
WHERE owner = ($1::uuid)::text AND key = $2::text AND request_hash = $3::text"""

# $1 the voter, $2 the post, $3 the value. The row of the post is locked before the vote is read.
VOTE = f"""
WITH target AS (
  SELECT p.id, p.score, v.value FROM posts p JOIN users u ON u.id = $1::uuid AND u.disabled_at IS NULL
  LEFT JOIN votes v ON v.post_id = p.id AND v.user_id = u.id
  WHERE p.id = $2::uuid AND {_VISIBLE} AND p.author_id <> u.id FOR NO KEY UPDATE OF p),
voted AS (
  INSERT INTO votes (post_id, user_id, value) SELECT id, $1::uuid, $3::int FROM target
  ON CONFLICT (post_id, user_id) DO UPDATE SET value = excluded.value RETURNING post_id)
UPDATE posts SET score = posts.score + $3::int - coalesce(target.value, 0) FROM target, voted
WHERE posts.id = target.id AND voted.post_id = target.id
RETURNING json_build_object('value', $3::int, 'score', posts.score)::text"""

CREDENTIALS = """
SELECT id, password_hash FROM users WHERE lower(username) = lower($1::text) AND disabled_at IS NULL"""

# $1 the sign-in's id, $2 whose, $3 the refresh token's id, $4 its hash
SIGN_IN = """
WITH family AS (
  INSERT INTO token_families (id, user_id, scope, expires_at)
  VALUES ($1::uuid, $2::uuid, 'posts:write', now() + interval '30 days') RETURNING id)
INSERT INTO refresh_tokens (id, family_id, token_hash) SELECT $3::uuid, id, $4::text FROM family"""

STATEMENTS = {name: text for name, text in globals().items() if name.isupper() and name[0] != "_"}
