// Fastify and pg, the JSON built by PostgreSQL. The statements come in BENCH_SQL.
const app = require('fastify')({ logger: false })
const { createSigner, createVerifier } = require('fast-jwt')
const { first, ask, vote, signIn } = require('./writes.js')

const key = process.env.BENCH_SECRET
const sign = createSigner({ key })
const verify = createVerifier({ key, algorithms: ['HS256'], cache: true })

app.register(require('@fastify/etag'))
app.register(require('@fastify/formbody'))
app.decorateRequest('user', null)
const read = (name, values) => async (request, reply) => {
  const row = await first(name, values(request))
  reply.type('application/json')
  return row[0]
}
const who = async (request, reply) => {
  try {
    request.user = verify((request.headers.authorization ?? '').slice(7)).sub
  } catch { return reply.code(401).send() }
}
app.register(async (routes) => {
  const [newest, before] = [read('SUMMARIES', () => []), read('BEFORE', (request) => [request.query.before])]
  routes.get('/health', async () => ({ status: 'ok' }))
  routes.get('/questions', (request, reply) => (request.query.before ? before : newest)(request, reply))
  routes.get('/questions/:id', read('WHOLE', (request) => [request.params.id]))
  routes.get('/search', read('SEARCH', (request) => [request.query.q]))
  routes.get('/resources', read('RESOURCES', (request) => [request.query.topic]))
  routes.post('/questions', { preHandler: who }, async (request, reply) => {
    const made = await ask(request.user, request.headers['idempotency-key'], request.body)
    if (!made) return reply.code(422).send()
    reply.code(201).type('application/json')
    return made
  })
  routes.put('/posts/:id/vote', { preHandler: who }, async (request, reply) => {
    const voted = await vote(request.user, request.params.id, request.body.value)
    if (!voted) return reply.code(404).send()
    reply.type('application/json')
    return voted
  })
  routes.post('/sign-in', async (request, reply) => {
    const known = await signIn(request.body)
    if (!known) return reply.code(401).send()
    return { access_token: sign({ sub: known.sub }), refresh_token: known.refresh }
  })
})
app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
