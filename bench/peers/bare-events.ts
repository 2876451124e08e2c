/** Peer of `streams-in`: Fastify that parses a page view, or a batch as JSON or NDJSON, and tells how many there were. */
import Fastify from 'fastify'

const app = Fastify()
app.addContentTypeParser('application/x-ndjson', { parseAs: 'string' }, (_request, body, done) => {
  try {
    done(
      null,
      (body as string).split('\n').map((line) => JSON.parse(line)),
    )
  } catch (error) {
    done(error as Error)
  }
})
app.post('/api/pageviews', (_request, reply) => reply.code(202).send({ accepted: 1 }))
app.post('/api/pageviews/batch', ({ body }, reply) =>
  reply.code(202).send({ accepted: (body as unknown[]).length }),
)
console.error(`listens on ${await app.listen({ host: '127.0.0.1', port: 0 })}`)
process.on('SIGTERM', () => process.exit(0))
