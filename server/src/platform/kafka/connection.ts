import { readFile } from 'node:fs/promises'
import type { BaseOptions } from '@platformatic/kafka'
import { PebblesError } from '../errors.ts'
import { settleWithin } from '../wait.ts'

/** How the brokers are reached. It holds a password: never to be logged. */
export type KafkaConnection = Pick<BaseOptions, 'bootstrapBrokers' | 'tls' | 'sasl'>

export interface KafkaSettings {
  KAFKA_BOOTSTRAP_SERVERS?: string | undefined
  KAFKA_TLS: boolean
  KAFKA_TLS_CA?: string | undefined
  KAFKA_SASL_MECHANISM?: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512' | undefined
  KAFKA_SASL_USERNAME?: string | undefined
  KAFKA_SASL_PASSWORD?: string | undefined
}

/**
 * Reads how the brokers are reached from the configuration, and the file with the authorities to trust.
 *
 * @throws PebblesError `misconfigured` when a broker has no port, or the file cannot be read
 */
export async function readKafkaConnection(settings: KafkaSettings): Promise<KafkaConnection> {
  const bootstrapBrokers = (settings.KAFKA_BOOTSTRAP_SERVERS ?? '').split(',').map((each) => each.trim())
  for (const broker of bootstrapBrokers) {
    const port = Number(/^\S+:(\d{1,5})$/.exec(broker)?.[1])
    if (!(port > 0 && port < 65_536)) throw misconfigured('KAFKA_BOOTSTRAP_SERVERS', 'must be host:port')
  }
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username } = settings
  return {
    bootstrapBrokers,
    ...(settings.KAFKA_TLS && { tls: await readTrust(settings.KAFKA_TLS_CA) }),
    ...(mechanism && { sasl: { mechanism, username: username!, password: settings.KAFKA_SASL_PASSWORD! } }),
  }
}

async function readTrust(file: string | undefined): Promise<{ ca?: string }> {
  if (file === undefined) return {}
  try {
    return { ca: await readFile(file, 'utf8') }
  } catch (cause) {
    throw misconfigured('KAFKA_TLS_CA', 'is a file that cannot be read', cause)
  }
}

function misconfigured(field: string, message: string, cause?: unknown): PebblesError {
  const text = `The configuration is not valid:\n  ${field}: ${message}`
  return new PebblesError('misconfigured', text, { faults: [{ field, message }], cause })
}

/** What all clients have in common. Waits are short, since everything is tried again by who uses them. */
export function clientOptions(connection: KafkaConnection) {
  return {
    ...connection,
    clientId: 'pebbles',
    connectTimeout: 5_000,
    // The longest answer is that to a join, which waits until a member that died is given up.
    requestTimeout: 15_000,
    // The certificate is that of the host that was asked for.
    ...(connection.tls && { tlsServerName: true }),
  }
}

const CLOSE_MS = 1_000

/** Ends a client. What it has to say at the end nobody has to hear: a group gives up its member by itself. */
export const closeClient = (client: { close(): Promise<void> }) => settleWithin(CLOSE_MS, client.close())

/** Opens something on a client, whose waiting ends when it is to stop. */
export async function untilStopped<T>(
  client: { close(): Promise<void> },
  stop: AbortSignal,
  open: () => Promise<T>,
): Promise<T> {
  stop.throwIfAborted()
  const onStop = () => void closeClient(client)
  stop.addEventListener('abort', onStop)
  try {
    return await open()
  } finally {
    stop.removeEventListener('abort', onStop)
  }
}
