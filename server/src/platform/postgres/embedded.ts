import { resolve } from 'node:path'
import pg from 'pg'
import { PebblesError } from '../errors.ts'
import { chooseAccount } from './embedded-account.ts'
import { prepareBinaries } from './embedded-binaries.ts'
import { type Cluster, clusterDirOf, openDataDir, prepareCluster, ROLE } from './embedded-cluster.ts'
import { lockFolder } from './embedded-lock.ts'
import { startServer, stopOrphan } from './embedded-server.ts'

/** A PostgreSQL server that belongs to this process. */
export interface EmbeddedPostgres {
  /** `postgres://…` of the application's database, password included. */
  readonly url: string
  /** The server's version, such as `18.4`. */
  readonly version: string
  /** Fast shutdown: sessions are ended, what is committed stays. Waits for it; may be called again. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface EmbeddedPostgresOptions {
  /** Folder of its own; made when missing. */
  dataDir: string
  /** Gets the server's log lines and what this module does. Default: nowhere. */
  log?: (message: string) => void
  /** Further settings of postgresql.conf, or others than the defaults. */
  settings?: Record<string, string>
  /** For tests: PostgreSQL's programs (a folder with `bin`, `lib`, `share`). Default: the installed package's. */
  nativeDir?: string
  /** For tests: where root keeps programs that the server's user cannot reach. */
  copyDirs?: string[]
}

/**
 * Starts PostgreSQL on the data in `dataDir`, which it makes when there is none.
 *
 * In `dataDir` (mode 0700) lie `cluster` (PostgreSQL's data directory), `password` (of the role and database
 * `pebbles`), `lock`, and, while it runs, `running.json` with the process and the URL. The folder can be copied
 * or moved as a whole while nothing runs. Nothing else ends the server: whoever starts it calls `stop`. After a
 * kill the next start on the folder ends what was left.
 *
 * @throws PebblesError `in_use` when another process uses the folder; `misconfigured` when the folder cannot be
 *   used (not writable, another major version, no user to run as); `unavailable` when there is no PostgreSQL for
 *   this platform, or when it does not start
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log = () => {}, settings = {} } = options
  const dataDir = resolve(options.dataDir)
  const clusterDir = clusterDirOf(dataDir)

  await using opened = new AsyncDisposableStack()
  await openDataDir(dataDir)
  const lock = opened.use(await lockFolder(dataDir))
  const account = await chooseAccount(clusterDir)
  const { nativeDir, copyDirs } = options
  const toolbox = await prepareBinaries({ account, log, nativeDir, copyDirs })
  await stopOrphan(toolbox, clusterDir, log)
  const cluster = await prepareCluster(toolbox, dataDir, log)
  const server = await startServer({ toolbox, clusterDir, log, settings })
  opened.defer(() => server.stop())
  // Says so itself: PGSSLMODE in the environment is meant for other servers.
  const url = `postgres://${ROLE}:${cluster.password}@127.0.0.1:${server.port}/${ROLE}?sslmode=disable`
  await requireAnswer(url, cluster)
  await lock.publish(url)

  const owned = opened.move()
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= owned.disposeAsync()
    return stopped
  }
  return { url, version: toolbox.version, stop, [Symbol.asyncDispose]: stop }
}

async function requireAnswer(url: string, cluster: Cluster): Promise<void> {
  const client = new pg.Client({ connectionString: url, ssl: false, connectionTimeoutMillis: 30_000 })
  // connect() rejects with it too; without a listener it would end the process.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.end()
  } catch (cause) {
    if ((cause as { code?: string }).code === '28P01') {
      throw new PebblesError(
        'misconfigured',
        `The password file beside ${cluster.dir} is not this database's. Remove the file to have a new password made.`,
        { cause },
      )
    }
    throw new PebblesError('unavailable', 'The embedded PostgreSQL takes no connection.', { cause })
  }
}
