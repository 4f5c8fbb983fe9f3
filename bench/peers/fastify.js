// Fastify and pg, the JSON built by PostgreSQL. The statements come in BENCH_SQL.
const app = require('fastify')({ logger: false })
const { Pool } = require('pg')

const sql = JSON.parse(process.env.BENCH_SQL)
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 10 })

app.register(require('@fastify/etag'))
const read = (name, values) => async (request, reply) => {
  const found = await pool.query({ name, text: sql[name], values: values(request), rowMode: 'array' })
  reply.type('application/json')
  return found.rows[0][0]
}
app.register(async (routes) => {
  routes.get('/health', async () => ({ status: 'ok' }))
  routes.get('/questions', read('SUMMARIES', () => []))
  routes.get('/questions/:id', read('WHOLE', (request) => [request.params.id]))
  routes.get('/search', read('SEARCH', (request) => [request.query.q]))
  routes.get('/resources', read('RESOURCES', (request) => [request.query.topic]))
})
app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
