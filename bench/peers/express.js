// Express and pg, the JSON built by PostgreSQL. The statements come in BENCH_SQL.
const express = require('express')
const { Pool } = require('pg')

const sql = JSON.parse(process.env.BENCH_SQL)
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 10 })
const app = express()
app.disable('x-powered-by')

const read = (name, values) => async (request, response, next) => {
  try {
    const found = await pool.query({ name, text: sql[name], values: values(request), rowMode: 'array' })
    response.type('application/json').send(found.rows[0][0])
  } catch (error) { next(error) }
}
app.get('/health', (_, response) => response.json({ status: 'ok' }))
app.get('/questions', read('SUMMARIES', () => []))
app.get('/questions/:id', read('WHOLE', (request) => [request.params.id]))
app.get('/search', read('SEARCH', (request) => [request.query.q]))
app.get('/resources', read('RESOURCES', (request) => [request.query.topic]))
app.listen(Number(process.env.PORT), '127.0.0.1')
