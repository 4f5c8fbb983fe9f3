// Express and pg, the JSON built by PostgreSQL. The statements come in BENCH_SQL.
const express = require('express')
const jwt = require('jsonwebtoken')
const { first, ask, vote, signIn } = require('./writes.js')

const secret = process.env.BENCH_SECRET
const app = express()
app.disable('x-powered-by')

const read = (name, values) => async (request, response) => {
  const row = await first(name, values(request))
  response.type('application/json').send(row[0])
}
const who = (request, response, next) => {
  try {
    request.user = jwt.verify((request.headers.authorization ?? '').slice(7), secret, { algorithms: ['HS256'] }).sub
  } catch { return response.sendStatus(401) }
  next()
}
app.get('/health', (_, response) => response.json({ status: 'ok' }))
app.get('/questions', (request, response) => request.query.before
  ? read('BEFORE', () => [request.query.before])(request, response)
  : read('SUMMARIES', () => [])(request, response))
app.get('/questions/:id', read('WHOLE', (request) => [request.params.id]))
app.get('/search', read('SEARCH', (request) => [request.query.q]))
app.get('/resources', read('RESOURCES', (request) => [request.query.topic]))
app.post('/questions', who, express.json(), async (request, response) => {
  const made = await ask(request.user, request.headers['idempotency-key'], request.body)
  if (!made) return response.sendStatus(422)
  response.status(201).type('application/json').send(made)
})
app.put('/posts/:id/vote', who, express.json(), async (request, response) => {
  const voted = await vote(request.user, request.params.id, request.body.value)
  if (!voted) return response.sendStatus(404)
  response.type('application/json').send(voted)
})
app.post('/sign-in', express.urlencoded({ extended: false }), async (request, response) => {
  const known = await signIn(request.body)
  if (!known) return response.sendStatus(401)
  response.json({ access_token: jwt.sign({ sub: known.sub }, secret), refresh_token: known.refresh })
})
app.listen(Number(process.env.PORT), '127.0.0.1')
