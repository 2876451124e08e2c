import { startEmbeddedPostgres } from '../../src/platform/postgres/embedded.ts'
import { migrate } from '../../src/platform/postgres/migrations.ts'
import { freezePostgres } from './database.ts'
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
  const { url, stop } = await startEmbeddedPostgres({ dataDir, settings: { fsync: 'off' } })
  atEnd(scope, stop)
  await migrate(url, 'up')
  let thaw = () => {}
  return {
    url,
    async freeze() {
      thaw = (await freezePostgres(scope, { url, dataDir })).thaw
    },
    thaw: () => thaw(),
  }
}
