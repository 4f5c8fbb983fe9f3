-- The bench's database: $questions questions of about 1 kB, three answers each, comments, resources,
-- members.
-- Nothing is random: every value follows from a row's number, so every run has the same rows.

CREATE FUNCTION pg_temp.id(kind int, n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex(1767225600000 + n::bigint * 1000), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
          || '8' || left(md5(kind || '-' || n), 15))::uuid
$$;
CREATE FUNCTION pg_temp.moment(n int) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT to_timestamp(1767225600 + n + 0.25)
$$;
CREATE TEMP TABLE vocabulary AS
  SELECT string_to_array('index query table lock cache token session cursor schema migration '
    'request response header route worker queue thread process socket buffer commit rollback '
    'replica shard partition vacuum planner statement transaction deadlock constraint trigger '
    'python async await server client proxy balancer latency throughput memory pool connection '
    'docker container deploy release version branch merge review test fixture mock assert '
    'error retry timeout backoff idempotent event stream topic message broker consumer producer '
    'password hash salt scope role grant login signature key certificate cipher encode decode',
    ' ') AS words;
CREATE TEMP TABLE texts AS  -- 2,000 texts, the first half long and the second short
  SELECT i, body, setweight(to_tsvector('english', body), 'C') AS vector, initcap(array_to_string(words[1:6], ' ')) AS title,
         array_to_string(words[1:20], ' ') AS remark
  FROM (
    SELECT i, array_agg(words[1 + (hashint4(i * 131 + k) & 2147483647) % cardinality(words)] ORDER BY k) AS words,
           string_agg(words[1 + (hashint4(i * 131 + k) & 2147483647) % cardinality(words)], ' ' ORDER BY k) AS body
    FROM vocabulary, generate_series(0, 1999) AS i, generate_series(1, CASE WHEN i < 1000 THEN 130 ELSE 50 END) AS k
    GROUP BY i
  ) AS made;
ALTER TABLE texts ADD PRIMARY KEY (i);
ANALYZE texts;

INSERT INTO users (id, username, display_name, bio, role, version, email, created_at)
  SELECT pg_temp.id(1, n), 'member' || n, 'Member ' || n, '', 'member', 1,
         'member' || n || '@example.org', pg_temp.moment(n)
  FROM generate_series(1, $members) AS n;
INSERT INTO topics (id, parent_id, slug, name, description, overview, overview_html, position, version, created_at)
  SELECT pg_temp.id(2, n), CASE WHEN n > 4 THEN pg_temp.id(2, 1 + n % 4) END,
         'topic-' || n, 'Topic ' || n, '', '', '', n, 1, pg_temp.moment(n)
  FROM generate_series(1, 20) AS n;
INSERT INTO tags (id, name, description, version, created_at)
  SELECT pg_temp.id(3, n::int), word, '', 1, pg_temp.moment(n::int)
  FROM vocabulary, unnest(words) WITH ORDINALITY AS w (word, n) WHERE n <= 50;

-- kind: 4 question, 5 to 7 its answers, 8 resource. Two comments on a question, one on every second answer.
CREATE TEMP TABLE rows AS
  SELECT 4 AS kind, n, n AS at, 2 AS comments FROM generate_series(1, $questions) AS n
  UNION ALL SELECT 4 + a, n, n + a, (n + a) % 2 FROM generate_series(1, $questions) AS n, generate_series(1, 3) AS a
  UNION ALL SELECT 8, n, n, 0 FROM generate_series(1, $resources) AS n
  ORDER BY at, kind; -- posts come to lie in the order of their time
ANALYZE rows;
INSERT INTO posts (id, kind, author_id, parent_id, topic_id, title, body, body_html, language, license,
                   score, comment_count, revision, version, created_at, updated_at, last_activity_at,
                   draft, parent_deleted, search_config, search)
  SELECT id, kind, author_id, parent_id, topic_id, title, body, '<p>' || body || '</p>' || E'\n', 'en',
         'CC-BY-SA-4.0', score, comments, 1, 1, moment, moment, moment, false, false, 'english',
         setweight(to_tsvector('english', title), 'A') || vector || setweight(to_tsvector('english', rare), 'C')
  FROM (
    SELECT pg_temp.id(kind, n) AS id,
           CASE kind WHEN 4 THEN 'question' WHEN 8 THEN 'resource' ELSE 'answer' END AS kind,
           pg_temp.id(1, 1 + (n * 7 + kind) % $members) AS author_id,
           CASE WHEN kind BETWEEN 5 AND 7 THEN pg_temp.id(4, n) END AS parent_id,
           pg_temp.id(2, 1 + n % 20) AS topic_id,  -- answers are in their question's
           CASE WHEN kind IN (4, 8) THEN texts.title || ' ' || n ELSE '' END AS title,
           texts.body || rare AS body, rare, vector, comments,
           (hashint4(n + kind) & 2147483647) % 40 - 5 AS score, pg_temp.moment(at) AS moment
    FROM rows
    JOIN texts ON texts.i = (n * 7 + kind) % 1000 + CASE kind WHEN 4 THEN 0 ELSE 1000 END
    CROSS JOIN LATERAL (SELECT CASE WHEN n % 2000 = 0 THEN ' needle' ELSE '' END) AS found (rare)
  ) AS made;
INSERT INTO questions (post_id, answer_count, accepted_answer_id)
  SELECT pg_temp.id(4, n), 3, CASE WHEN n % 3 = 0 THEN pg_temp.id(5, n) END
  FROM generate_series(1, $questions) AS n;
INSERT INTO answers (post_id, question_id)
  SELECT pg_temp.id(kind, n), pg_temp.id(4, n) FROM rows WHERE kind BETWEEN 5 AND 7;
INSERT INTO resources (post_id, kind, level, link_type, url, url_key)
  SELECT pg_temp.id(8, n), 'link', 'beginner', 'article', 'https://example.org/' || n, md5('u' || n)
  FROM generate_series(1, $resources) AS n;
INSERT INTO post_tags (post_id, tag_id, position)
  SELECT pg_temp.id(kind, n), pg_temp.id(3, 1 + (n * 3 + t * 17) % 50), t
  FROM rows, generate_series(0, 2) AS t WHERE kind IN (4, 8);
INSERT INTO comments (id, post_id, author_id, body, body_html, version, created_at, updated_at)
  SELECT id, post_id, author_id, remark, '<p>' || remark || '</p>' || E'\n', 1, moment, moment
  FROM (
    SELECT pg_temp.id(10 * kind + c, n) AS id, pg_temp.id(kind, n) AS post_id,
           pg_temp.id(1, 1 + (n * 11 + kind * 3 + c) % $members) AS author_id,
           remark, pg_temp.moment(at + c) AS moment
    FROM rows
    CROSS JOIN LATERAL generate_series(1, comments) AS c
    JOIN texts ON texts.i = (n * 13 + kind * 3 + c) % 2000
    ORDER BY at, kind, c
  ) AS made;
