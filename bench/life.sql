-- What members do beside asking, answering and commenting; the plans need these tables to be large as well.
-- Runs after data.sql; WRITER has much of everything.

CREATE FUNCTION pg_temp.id(kind int, n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex(1767225600000 + n::bigint * 1000), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
          || '8' || left(md5(kind || '-' || n), 15))::uuid
$$;
CREATE FUNCTION pg_temp.moment(n int) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT to_timestamp(1767225600 + n + 0.25)
$$;
CREATE TEMP TABLE writer AS SELECT id FROM users WHERE username = 'bench-writer';
CREATE TEMP TABLE numbered AS SELECT id, row_number() OVER (ORDER BY id)::int AS n FROM posts;

INSERT INTO users (id, username, display_name, bio, role, version, email, created_at)
  SELECT pg_temp.id(20, n), 'reader' || n, 'Reader ' || n, '', 'member', 1, 'reader' || n || '@example.org',
         pg_temp.moment(n)
  FROM generate_series(1, 5000) AS n;
UPDATE users SET role = 'admin' WHERE username = 'bench-writer';
INSERT INTO votes (post_id, user_id, value)
  SELECT id, pg_temp.id(20, 1 + n % 5000), 1 FROM numbered;
INSERT INTO bookmarks (post_id, user_id, created_at)
  SELECT id, CASE WHEN n % 10 = 0 THEN (SELECT id FROM writer) ELSE pg_temp.id(20, 1 + n % 5000) END,
         pg_temp.moment(n) FROM numbered;
INSERT INTO revisions (post_id, number, editor_id, summary, content)
  SELECT id, 1, author_id, '', json_build_object('title', title, 'body', body) FROM posts;
INSERT INTO events (transaction_id, type, actor_id, post_id, subject_id, audience)
  SELECT 0, kind || '.created', author_id, id, id::text, 'everyone' FROM posts ORDER BY posts.id;
INSERT INTO token_families (id, user_id, scope, expires_at)
  SELECT pg_temp.id(22, n), pg_temp.id(20, n), 'posts:write', now() + interval '30 days'
  FROM generate_series(1, 5000) AS n;
INSERT INTO refresh_tokens (id, family_id, token_hash)
  SELECT pg_temp.id(23, n), pg_temp.id(22, 1 + n % 5000), encode(sha256(n::text::bytea), 'hex')
  FROM generate_series(1, 10000) AS n;
INSERT INTO browser_sessions (id, user_id, token_hash, expires_at)
  SELECT pg_temp.id(24, n), CASE n WHEN 1 THEN (SELECT id FROM writer) ELSE pg_temp.id(20, n) END,
         encode(sha256(convert_to('session-' || n, 'UTF8')), 'hex'), now() + interval '14 days'
  FROM generate_series(1, 5000) AS n;
INSERT INTO security_events (id, user_id, kind, detail, address, user_agent)
  SELECT pg_temp.id(25, n), pg_temp.id(20, 1 + n % 5000), 'signed_in', '', '192.0.2.1', '' FROM generate_series(1, 10000) AS n;
INSERT INTO idempotency_records (owner, key, request_hash, status)
  SELECT 'owner-' || n, 'key-' || n, '', 201 FROM generate_series(1, 5000) AS n;
INSERT INTO posts (id, kind, author_id, topic_id, title, body, body_html, language, license, revision, version,
                   updated_at, last_activity_at, search_config, search)
  SELECT pg_temp.id(26, n), 'contribution', pg_temp.id(20, n), (SELECT id FROM topics WHERE slug = 'topic-1'),
         'A proposal', '', '', 'en', 'CC-BY-SA-4.0', 1, 1, pg_temp.moment(n), pg_temp.moment(n), 'english', ''
  FROM generate_series(1, 4000) AS n;
INSERT INTO contributions (post_id, proposal, state, submitted_at)
  SELECT pg_temp.id(26, n), '{"kind": "link"}', CASE WHEN n % 20 = 0 THEN 'submitted' ELSE 'rejected' END,
         pg_temp.moment(n) FROM generate_series(1, 4000) AS n;
INSERT INTO reviews (id, contribution_id, reviewer_id, contribution_revision, decision)
  SELECT pg_temp.id(27, n), pg_temp.id(26, n), (SELECT id FROM writer), 1, 'reject' FROM generate_series(1, 4000) AS n;
