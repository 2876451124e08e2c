import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { createServer, type Server } from 'node:tls'
import { AclOperations, AclPermissionTypes, ResourcePatternTypes, ResourceTypes } from '@platformatic/kafka'
import pino from 'pino'
import type { RunningKafka } from '../../../scripts/services/kafka.ts'
import { readConfig } from '../../src/config.ts'
import { readKafkaConnection } from '../../src/platform/kafka/connection.ts'
import type { Consumer } from '../../src/progress/consumers/consumer.ts'
import { createKafkaConsumer } from '../../src/progress/consumers/from-kafka.ts'
import { createTestDatabase } from '../helpers/database.ts'
import { atEnd, type Scope, suiteScope } from '../helpers/scope.ts'
import { createTestDir } from '../helpers/server.ts'
import { kafkaMissing, startKafka } from '../helpers/services.ts'
import { eventually, message, openTestLog } from './kafka-helpers.ts'
import { openTestStore, type Store } from './kafka-outside.ts'

const USER = { KAFKA_SASL_MECHANISM: 'PLAIN', KAFKA_SASL_USERNAME: 'pebbles', KAFKA_SASL_PASSWORD: 'se$cret' }

describe('a broker that lets in not everybody', { skip: kafkaMissing() }, () => {
  const scope = suiteScope()
  let kafka: RunningKafka
  before(async () => {
    kafka = await startKafka(scope, {
      sasl: { username: 'pebbles', password: USER.KAFKA_SASL_PASSWORD },
      settings: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
      },
    })
  })

  test('P15 it signs in by SASL, and names the right that it lacks for the dead-letter topic', async (t) => {
    const log = openTestLog(t, kafka.bootstrapServers)
    await log.create()
    const allow = (resourceType: number, resourceName: string, ...operations: number[]) =>
      log.admin.createAcls({
        creations: operations.map((operation) => ({
          resourceType,
          resourceName,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          principal: 'User:pebbles',
          host: '*',
          operation,
          permissionType: AclPermissionTypes.ALLOW,
        })) as never,
      })
    await allow(ResourceTypes.TOPIC, log.topic, AclOperations.READ)
    await allow(ResourceTypes.GROUP, log.group, AclOperations.READ)
    const store = openTestStore(t, await createTestDatabase(t))
    const env = { ...log.env, ...USER, KAFKA_BOOTSTRAP_SERVERS: kafka.securedBootstrapServers! }

    const stranger = await consume(t, { ...env, KAFKA_SASL_PASSWORD: 'another' }, store)
    await eventually('it is told why', async () =>
      /authentication/i.test(stranger.health().lastError!.message),
    )
    assert.equal(stranger.health().status, 'waiting')
    await stranger[Symbol.asyncDispose]()

    const consumer = await consume(t, env, store)
    await log.send([
      { partition: 0, value: message('sasl.csv') },
      { partition: 0, value: 'poison' },
      { partition: 0, value: message('sasl.csv') },
    ])
    await eventually('it says what is missing', async () =>
      /allow Create/.test(consumer.health().lastError!.message),
    )
    assert.equal(consumer.health().status, 'waiting')
    await allow(ResourceTypes.TOPIC, `${log.topic}.dlq`, AclOperations.CREATE, AclOperations.WRITE)
    await eventually('it goes on', async () => {
      const [record] = await store.list({ clientKrn: 'krn:kafka', filename: 'sasl.csv' }, { limit: 1 })
      return record?.sequence === 2
    })
    assert.equal((await log.readAll(`${log.topic}.dlq`)).length, 1)
    await eventually('all is well', async () => consumer.health().status === 'running')
  })
})

const noOpenssl = spawnSync('openssl', ['version']).status === 0 ? false : 'there is no openssl here'

describe('a broker behind TLS', { skip: kafkaMissing() || noOpenssl }, () => {
  test('P15 it trusts the authority in KAFKA_TLS_CA, and none without it', async (t) => {
    const dir = await createTestDir(t)
    const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']
    spawnSync('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ])
    let target = 0
    const proxy = createServer({ key: await readFile(key), cert: await readFile(cert) }, (client) => {
      const upstream = connect(target, '127.0.0.1')
      client.on('error', () => upstream.destroy()).pipe(upstream)
      upstream.on('error', () => client.destroy()).pipe(client)
    })
    proxy.on('tlsClientError', () => {})
    const port = await listen(t, proxy)
    const kafka = await startKafka(t, { settings: { 'advertised.listeners': `PLAIN://localhost:${port}` } })
    target = Number(kafka.bootstrapServers.split(':')[1])

    const ca = await readFile(cert, 'utf8')
    const log = openTestLog(t, `localhost:${port}`, { tls: { ca } })
    await log.create()
    await log.send([{ partition: 0, value: message('tls.csv') }])
    const store = openTestStore(t, await createTestDatabase(t))
    const env = { ...log.env, KAFKA_TLS: 'true' }
    const distrustful = await consume(t, env, store)
    await eventually('it does not trust it', async () =>
      /self-signed/.test(distrustful.health().lastError!.message),
    )
    await distrustful[Symbol.asyncDispose]()
    await consume(t, { ...env, KAFKA_TLS_CA: cert }, store)
    await eventually(
      'it reads',
      async () => (await store.list({ clientKrn: 'krn:kafka' }, { limit: 1 })).length === 1,
    )
  })
})

async function consume(t: Scope, env: Record<string, string>, store: Store): Promise<Consumer> {
  const config = readConfig({ ...env, KAFKA_ENABLED: 'true' })
  const consumer = createKafkaConsumer({
    connection: await readKafkaConnection(config),
    topic: config.KAFKA_TOPIC_NAME,
    groupId: config.KAFKA_GROUP_ID,
    store,
    lanes: 1,
    onApplied: () => {},
    tally: () => {},
    log: pino({ level: 'silent' }),
  })
  atEnd(t, () => consumer[Symbol.asyncDispose]())
  return consumer
}

async function listen(scope: Scope, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  atEnd(scope, () => void server.close())
  return (server.address() as { port: number }).port
}
