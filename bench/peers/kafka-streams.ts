/** Peer of `streams-aggregate`: builds and runs the Kafka Streams application of `peers/kafka-streams`. Needs Java and Maven. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const FOLDER = fileURLToPath(new URL('kafka-streams', import.meta.url))

export async function buildKafkaStreams(): Promise<void> {
  await promisify(execFile)('mvn', ['-q', 'package'], { cwd: FOLDER })
}

export interface KafkaStreamsOptions {
  brokers: string
  /** Consumer group; one that is new begins at the beginning. */
  applicationId: string
  input: string
  output: string
  stateDir: string
  graceS: number
  /** Such as `-Xmx512m`; without them Java decides. */
  java: readonly string[]
}

/** Resolves when it has its partitions. */
export async function startKafkaStreams(options: KafkaStreamsOptions) {
  const { brokers, applicationId, input, output, stateDir, graceS, java } = options
  const child = spawn(
    'java',
    [
      ...java,
      '-cp',
      `${FOLDER}/target/*:${FOLDER}/target/lib/*`,
      'pebbles.bench.Aggregates',
      ...['--bootstrap', brokers, '--application-id', applicationId, '--input', input, '--output', output],
      ...['--grace', String(graceS), '--state-dir', stateDir, '--keyed'],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  // Also when the bench breaks off: it would go on for ever.
  process.once('exit', () => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  await new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => line === 'ready' && resolve())
    lines.on('close', () => reject(new Error('the Kafka Streams application ended')))
  })
  return {
    pid: child.pid!,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}
