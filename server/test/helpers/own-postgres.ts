import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded.ts'
import { migrate } from '../../src/platform/postgres/migrations.ts'
import { atEnd, type Scope } from './scope.ts'
import { createTestDir } from './server.ts'

export interface OwnPostgres {
  url: string
  /** All its processes keep their connections and do nothing, until they are thawed. */
  freeze(): Promise<void>
  thaw(): void
}

/** A migrated PostgreSQL of its own, to be frozen; gone afterwards. */
export async function startPostgres(scope: Scope): Promise<OwnPostgres> {
  const dataDir = await createTestDir(scope)
  const server = await startEmbeddedPostgres({ dataDir, settings: { fsync: 'off' } })
  let frozen: number[] = []
  const postgres = {
    url: server.url,
    async freeze() {
      const lines = (await readFile(join(dataDir, 'cluster', 'postmaster.pid'), 'utf8')).split('\n')
      const postmaster = Number(lines[0])
      // It first, so that it makes no more of them.
      frozen = [postmaster]
      process.kill(postmaster, 'SIGSTOP')
      const children = await readFile(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8')
      for (const pid of children.trim().split(' ').map(Number)) {
        frozen.push(pid)
        process.kill(pid, 'SIGSTOP')
      }
    },
    thaw() {
      for (const pid of frozen) process.kill(pid, 'SIGCONT')
      frozen = []
    },
  }
  atEnd(scope, async () => {
    postgres.thaw()
    await server.stop()
  })
  await migrate(server.url, 'up')
  return postgres
}
