import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LOCAL_AWS } from './aws.ts'
import { installOnce } from './install.ts'
import { downloadJars, javaArguments, javaMissing, LOGBACK } from './java.ts'
import { freePort, startProcess } from './process.ts'
import type { Service } from './service.ts'

const VERSION = '1.7.1'
const folderOf = (cacheDir: string) => join(cacheDir, `elasticmq-${VERSION}`)

/** It takes any queue name and any credentials. */
export const sqs: Service = {
  name: 'sqs',
  title: `ElasticMQ ${VERSION}`,
  missing: (cacheDir) => javaMissing(folderOf(cacheDir)),
  async install(cacheDir) {
    await installOnce(folderOf(cacheDir), async (draft) => {
      await downloadJars(draft, [`org.elasticmq:elasticmq-server_3:${VERSION}`])
      await writeFile(join(draft, 'logback.xml'), LOGBACK)
    })
  },
  async start(options) {
    const port = options.port ?? (await freePort())
    const folder = folderOf(options.cacheDir)
    const configuration = join(options.dataDir, 'elasticmq.conf')
    await mkdir(options.dataDir, { recursive: true })
    await writeFile(configuration, configurationOf(port, options.dataDir, options.durable ?? false))
    return startProcess(options, {
      command: 'java',
      args: [
        ...(await javaArguments(folder, 384)),
        `-Dlogback.configurationFile=${join(folder, 'logback.xml')}`,
        `-Dconfig.file=${configuration}`,
        'org.elasticmq.server.Main',
      ],
      port,
      ...sqs.at(port),
      answers: () => sqs.answers(port),
    })
  },
  at(port) {
    const url = `http://127.0.0.1:${port}`
    return { url, env: { SQS_ENDPOINT: url, ...LOCAL_AWS } }
  },
  async answers(port) {
    const request = `${sqs.at(port).url}/?Action=ListQueues`
    return (await fetch(request, { signal: AbortSignal.timeout(1_000) })).ok
  },
}

function configurationOf(port: number, dataDir: string, durable: boolean): string {
  // By itself the database keeps back what is younger than half a second.
  const database = `jdbc:h2:${join(dataDir, 'queues')};WRITE_DELAY=0`
  return `include classpath("application.conf")
node-address { host = "127.0.0.1", port = ${port} }
rest-sqs { bind-hostname = "127.0.0.1", bind-port = ${port} }
rest-stats { enabled = false }
aws { region = "${LOCAL_AWS.AWS_REGION}" }
messages-storage { enabled = ${durable}, uri = ${JSON.stringify(database)} }
`
}
