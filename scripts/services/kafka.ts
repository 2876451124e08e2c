import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, installOnce, run } from './install.ts'
import { archiveClasses, downloadJars, javaArguments, javaMissing } from './java.ts'
import { kafkaAnswers } from './kafka-answers.ts'
import { type KafkaOptions, type Ports, settingsOf } from './kafka-settings.ts'
import { createKeyStore } from './kafka-tls.ts'
import { freePort, startProcess } from './process.ts'
import type { RunningService, Service } from './service.ts'

const VERSION = '4.4.0'
// Kafka's own distribution adds this one, without which the broker says nothing.
const LOGGER = 'org.apache.logging.log4j:log4j-slf4j-impl:2.25.5'
const LOG4J2 = `
rootLogger.level = WARN
rootLogger.appenderRef.stdout.ref = STDOUT
appender.stdout.type = Console
appender.stdout.name = STDOUT
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{ISO8601} %p %c{1} %m%n
`
/** Where its jars are, once it is installed. */
export const folderOf = (cacheDir: string) => join(cacheDir, `kafka-${VERSION}`)

export interface RunningKafka extends RunningService {
  /** `host:port` of the listener that takes anybody; the same as KAFKA_BOOTSTRAP_SERVERS. */
  readonly bootstrapServers: string
  /** `host:port` of the other listener, with `sasl` or `tls`. */
  readonly securedBootstrapServers: string | undefined
  /** With `tls`: the file with the certificate to trust, as PEM. */
  readonly caFile: string | undefined
}

/** The real broker: one node that is its own controller. */
export const kafka: Service<KafkaOptions, RunningKafka> = {
  name: 'kafka',
  title: `Apache Kafka ${VERSION}`,
  missing: (cacheDir) => javaMissing(folderOf(cacheDir)),
  async install(cacheDir) {
    await installOnce(folderOf(cacheDir), async (draft) => {
      await downloadJars(draft, [`org.apache.kafka:kafka_2.13:${VERSION}`, LOGGER])
      await writeFile(join(draft, 'log4j2.properties'), LOG4J2)
    })
    await archiveClasses(folderOf(cacheDir), (dataDir, java) => startKafka({ cacheDir, dataDir }, java))
  },
  start: (options) => startKafka(options),
  at(port) {
    const bootstrapServers = `127.0.0.1:${port}`
    return { url: `kafka://${bootstrapServers}`, env: { KAFKA_BOOTSTRAP_SERVERS: bootstrapServers } }
  },
  answers: kafkaAnswers,
}

async function startKafka(options: KafkaOptions, trial: string[] = []): Promise<RunningKafka> {
  const { cacheDir, dataDir, sasl, tls } = options
  const ports: Ports = {
    plain: options.port ?? (await freePort()),
    secured: await freePort(),
    controller: await freePort(),
  }
  await mkdir(dataDir, { recursive: true })
  const keyStore = tls ? await createKeyStore(dataDir) : undefined
  const topicsDir = join(dataDir, 'topics')
  const properties = join(dataDir, 'server.properties')
  const settings = Object.entries(settingsOf(ports, topicsDir, options, keyStore))
  // It may hold passwords.
  await writeFile(properties, settings.map(([name, value]) => `${name}=${value}\n`).join(''), { mode: 0o600 })

  const folder = folderOf(cacheDir)
  const logging = `-Dlog4j2.configurationFile=${join(folder, 'log4j2.properties')}`
  const java = [...(await javaArguments(folder, 384)), logging]
  if (!(await exists(join(topicsDir, 'meta.properties')))) {
    await run('java', [...java, 'kafka.tools.StorageTool', 'format', '-t', newClusterId(), '-c', properties])
  }
  const running = await startProcess(options, {
    command: 'java',
    args: [...trial, ...java, 'kafka.Kafka', properties],
    port: ports.plain,
    ...kafka.at(ports.plain),
    answers: () => kafkaAnswers(ports.plain),
  })
  return Object.assign(running, {
    bootstrapServers: `127.0.0.1:${ports.plain}`,
    securedBootstrapServers: sasl || tls ? `127.0.0.1:${ports.secured}` : undefined,
    caFile: keyStore?.caFile,
  })
}

/** Never with a leading dash, which would be an option of the command line. */
function newClusterId(): string {
  return `P${randomBytes(16).toString('base64url').slice(1)}`
}
