// What Express and Fastify write, in the same statements as the others (BENCH_SQL).
const { createHash, randomBytes } = require('node:crypto')
const { verify } = require('@node-rs/argon2')
const { Pool } = require('pg')
const { v7 } = require('uuid')

const sql = JSON.parse(process.env.BENCH_SQL)
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 10 })
const digest = (text) => createHash('sha256').update(text).digest('hex')
const escape = (text) => text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`)

async function first(name, values) {
  const found = await pool.query({ name, text: sql[name], values, rowMode: 'array' })
  return found.rows[0]
}

async function ask(userId, key, form) {
  const hash = digest(JSON.stringify(form))
  const html = `<p>${escape(form.body)}</p>\n`
  const row = await first('ASK', [userId, v7(), form.title, form.body, html, form.topic, form.tags, key, hash])
  return (row ?? await first('REPLAY', [userId, key, hash]))?.[0]
}

const vote = async (userId, postId, value) => (await first('VOTE', [userId, postId, value]))?.[0]

/** The refresh token and whose it is, or nothing. */
async function signIn({ username, password }) {
  const found = await first('CREDENTIALS', [username])
  if (!found || !await verify(found[1], password)) return undefined
  const refresh = randomBytes(32).toString('base64url')
  await first('SIGN_IN', [v7(), found[0], v7(), digest(refresh)])
  return { sub: found[0], refresh }
}

module.exports = { first, ask, vote, signIn }
