import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import manifest from '../package.json' with { type: 'json' }
import { importCommand } from './commands/import.ts'
import { migrateCommand } from './commands/migrate.ts'
import { serveCommand } from './commands/serve.ts'
import { tokenCommand } from './commands/token.ts'
import { watchCommand } from './commands/watch.ts'
import { PebblesError } from './platform/errors.ts'

// What is imported from here on is compiled, and stripped of its types, once and not at each start. Not in the system's
// folder for such things, where others may write; where this one cannot be written, there is no cache.
enableCompileCache(fileURLToPath(new URL('../../node_modules/.cache/pebbles', import.meta.url)))

/** The `pebbles` command: `serve · token · migrate · import · watch`. */
const program = new Command('pebbles')
  .version(manifest.version)
  .description('Counts every update, row and event exactly once, and shows the count while it moves.')
  .addCommand(serveCommand())
  .addCommand(tokenCommand())
  .addCommand(migrateCommand())
  .addCommand(importCommand())
  .addCommand(watchCommand())

try {
  await program.parseAsync()
} catch (error) {
  // What a person did wrong, or can mend, is told in its own words; anything else is ours, with its stack.
  if (error instanceof PebblesError && error.code !== 'internal') {
    console.error(error.message)
    // Where a name has several addresses, each was refused by itself.
    const causes = error.cause instanceof AggregateError ? error.cause.errors : [error.cause]
    for (const cause of causes) if (cause instanceof Error) console.error(`  ${cause.message}`)
  } else console.error(error)
  process.exitCode = 1
}
