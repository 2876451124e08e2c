/** Peer (a) of `ledger-http`: Fastify as it comes, which parses the update and answers the same body. */
import Fastify from 'fastify'

const app = Fastify()
app.post('/clients/:clientKrn/progress', async (request) => request.body)
console.error(`listens on ${await app.listen({ host: '127.0.0.1', port: 0 })}`)
process.on('SIGTERM', () => process.exit(0))
