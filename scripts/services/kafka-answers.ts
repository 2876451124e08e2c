import { once } from 'node:events'
import { connect } from 'node:net'

const METADATA = 3
const TIMEOUT_MS = 1_000

/**
 * Whether the broker on `port` serves: it knows of a broker, itself. The port is open a while before that.
 * Asks as Kafka's protocol has it (Metadata, version 4, no topics), so that no client library is needed.
 */
export async function kafkaAnswers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('no answer')))
  try {
    const request = Buffer.alloc(19)
    request.writeInt32BE(request.length - 4, 0)
    request.writeInt16BE(METADATA, 4)
    request.writeInt16BE(4, 6)
    // No client id; an empty list of topics; no topics made on the way.
    request.writeInt16BE(-1, 12)
    socket.write(request)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    // Length, correlation id, throttle time, number of brokers.
    return answer.length >= 16 && answer.readInt32BE(12) > 0
  } finally {
    socket.destroy()
  }
}
