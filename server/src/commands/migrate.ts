import { join } from 'node:path'
import { Command } from 'commander'
import { readConfig } from '../config.ts'
import { startEmbeddedPostgres } from '../platform/postgres/embedded.ts'
import { createMigration, migrate } from '../platform/postgres/migrations.ts'

export function migrateCommand(): Command {
  const command = new Command('migrate').description('change the schema of the database')
  for (const direction of ['up', 'down'] as const) {
    const what = direction === 'up' ? 'run all pending migrations' : 'undo the newest migration'
    command
      .command(direction)
      .description(what)
      .action(() => run(direction))
  }
  command
    .command('create <name>')
    .description('create the next migration file')
    .action(async (name: string) => console.log(await createMigration(name)))
  return command
}

async function run(direction: 'up' | 'down'): Promise<void> {
  const config = readConfig(process.env)
  await using opened = new AsyncDisposableStack()
  const url =
    config.DATABASE_URL ??
    opened.use(await startEmbeddedPostgres({ dataDir: join(config.dataDir, 'postgres') })).url
  const done = await migrate(url, direction)
  if (direction === 'up') {
    const { installBoss } = await import('../platform/postgres/pg-boss.ts')
    await installBoss(url)
  }
  for (const name of done) console.log(`${direction} ${name}`)
  if (done.length === 0) console.log('Nothing to do.')
}
