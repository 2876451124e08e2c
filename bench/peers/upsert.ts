/**
 * Peer (b) of `ledger-http`: what one writes first. Each request is one INSERT … ON CONFLICT DO UPDATE through a pool,
 * committed durably. It checks no token and no owner, keeps no ids, no issues and no audit.
 */
import Fastify from 'fastify'
import pg from 'pg'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 20 })
await pool.query(`CREATE TABLE IF NOT EXISTS upserts (
  client_krn text, filename text, done bigint, warn bigint, failed bigint, updated_at timestamptz,
  PRIMARY KEY (client_krn, filename))`)

interface Body {
  filename: string
  counts: { done: number; warn: number; failed: number }
}

const app = Fastify()
app.post<{ Params: { clientKrn: string }; Body: Body }>('/clients/:clientKrn/progress', async (request) => {
  const { filename, counts } = request.body
  const { rows } = await pool.query({
    name: 'upsert',
    text: `INSERT INTO upserts AS u VALUES ($1, $2, $3, $4, $5, now())
           ON CONFLICT (client_krn, filename) DO UPDATE
           SET done = u.done + excluded.done, warn = u.warn + excluded.warn, failed = u.failed + excluded.failed,
               updated_at = excluded.updated_at
           RETURNING done, warn, failed`,
    values: [request.params.clientKrn, filename, counts.done, counts.warn, counts.failed],
  })
  return { filename, counts: rows[0] }
})
console.error(`listens on ${await app.listen({ host: '127.0.0.1', port: 0 })}`)
process.on('SIGTERM', () => process.exit(0))
