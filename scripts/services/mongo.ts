import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installOnce, isOnPath, run } from './install.ts'
import { downloadJars, javaArguments, javaMissing } from './java.ts'
import { freePort, startProcess } from './process.ts'
import type { Service } from './service.ts'

const VERSION = '1.47.0'
const SERVER = fileURLToPath(new URL('./mongo/DurableMongo.java', import.meta.url))
const MAIN = 'de.bwaldvogel.mongo.backend.h2.DurableMongo'
const JARS = [
  `de.bwaldvogel:mongo-java-server-core:${VERSION}`,
  `de.bwaldvogel:mongo-java-server-h2-backend:${VERSION}`,
  // Without it the server says nothing.
  'org.slf4j:slf4j-simple:2.0.17',
]

/** Another launcher is another server. */
const REVISION = createHash('sha256').update(readFileSync(SERVER)).digest('hex').slice(0, 8)
const folderOf = (cacheDir: string) => join(cacheDir, `mongo-java-server-${VERSION}-${REVISION}`)

/**
 * A server that speaks MongoDB's protocol: none that is MongoDB itself can be had from package registries.
 * docs/adr/0012-mongodb-store.md tells which were tried, and what was wrong with them.
 */
export const mongo: Service = {
  name: 'mongo',
  title: `mongo-java-server ${VERSION}`,
  missing(cacheDir) {
    if (isOnPath('javac')) return javaMissing(folderOf(cacheDir))
    return 'there is no JDK here; with apt: apt-get install default-jdk-headless maven'
  },
  async install(cacheDir) {
    await installOnce(folderOf(cacheDir), async (draft) => {
      await downloadJars(draft, JARS)
      const classes = join(draft, 'classes')
      await run('javac', ['-cp', join(draft, '*'), '-d', classes, SERVER])
      await run('jar', ['-cf', join(draft, 'durable-mongo.jar'), '-C', classes, '.'])
      await rm(classes, { recursive: true })
    })
  },
  async start(options) {
    const port = options.port ?? (await freePort())
    const java = await javaArguments(folderOf(options.cacheDir), 384)
    return startProcess(options, {
      command: 'java',
      args: [
        '-Dorg.slf4j.simpleLogger.defaultLogLevel=error',
        ...java,
        MAIN,
        String(port),
        join(options.dataDir, 'mongo.db'),
      ],
      port,
      ...mongo.at(port),
      answers: () => mongo.answers(port),
    })
  },
  at(port) {
    const url = `mongodb://127.0.0.1:${port}/pebbles`
    return { url, env: { MONGO_URI: url } }
  },
  async answers(port) {
    const socket = connect(port, '127.0.0.1')
    socket.setTimeout(1_000, () => socket.destroy(new Error('no answer')))
    try {
      socket.write(PING)
      await once(socket, 'data')
      return true
    } finally {
      socket.destroy()
    }
  },
}

/** An OP_MSG with the command { ping: 1, $db: 'admin' }. */
const PING = Buffer.from(
  '33000000' + // length
    '0100000000000000dd070000' + // request 1, to none, OP_MSG
    '0000000000' + // no flags; one document
    '1e000000' +
    '1070696e670001000000' + // int32 ping: 1
    '022464620006000000' +
    '61646d696e0000', // text $db: admin
  'hex',
)
