import type { KeyStore } from './kafka-tls.ts'
import type { StartOptions } from './service.ts'

export interface KafkaOptions extends StartOptions {
  /** The only user of a second listener, who signs in by SASL/PLAIN. */
  sasl?: { username: string; password: string }
  /** The second listener is encrypted, with or without `sasl`. */
  tls?: boolean
  /** Further broker settings, or others than the defaults. */
  settings?: Record<string, string>
}

export interface Ports {
  plain: number
  secured: number
  controller: number
}

/** The broker's `server.properties`. */
export function settingsOf(
  ports: Ports,
  topicsDir: string,
  { sasl, tls, settings, outlives }: KafkaOptions,
  keyStore: KeyStore | undefined,
): Record<string, string | number> {
  const controller = `127.0.0.1:${ports.controller}`
  const forClients = [`PLAIN://127.0.0.1:${ports.plain}`]
  if (sasl || tls) forClients.push(`SECURED://127.0.0.1:${ports.secured}`)
  const secured = `${sasl ? 'SASL_' : ''}${tls ? 'SSL' : 'PLAINTEXT'}`
  return {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@${controller}`,
    listeners: [...forClients, `CONTROLLER://${controller}`].join(),
    'advertised.listeners': forClients.join(),
    'listener.security.protocol.map': `PLAIN:PLAINTEXT,SECURED:${secured},CONTROLLER:PLAINTEXT`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAIN',
    'log.dirs': topicsDir,
    ...LIGHT,
    ...ALONE,
    // To tests a misspelt topic is an error; whoever develops is spared making them.
    'auto.create.topics.enable': String(outlives ?? false),
    // Also what carries an old timestamp stays.
    'log.retention.ms': -1,
    'log.segment.delete.delay.ms': 1_000,
    ...(sasl && {
      'sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.secured.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required user_${sasl.username}="${sasl.password}";`,
    }),
    ...(keyStore && {
      'listener.name.secured.ssl.keystore.type': 'PKCS12',
      'listener.name.secured.ssl.keystore.location': keyStore.path,
      'listener.name.secured.ssl.keystore.password': keyStore.password,
    }),
    ...settings,
  }
}

/** It shares the machine with what is tested. */
const LIGHT = {
  'num.network.threads': 2,
  'num.io.threads': 2,
  'background.threads': 2,
  'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
  'offsets.topic.num.partitions': 4,
  'transaction.state.log.num.partitions': 4,
  'share.coordinator.state.topic.num.partitions': 1,
}

/** What a cluster of one can do. */
const ALONE = {
  'offsets.topic.replication.factor': 1,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
  'group.initial.rebalance.delay.ms': 0,
  // After kill -9 the controller takes the broker back only when its old session is over: 11 s by default, 3 s so.
  'broker.session.timeout.ms': 2_000,
  'broker.heartbeat.interval.ms': 500,
}
