import { Command } from 'commander'
import { readConfig } from '../config.ts'

const DRAIN_MS = 20_000

export function serveCommand(): Command {
  const command = new Command('serve').description('run the service until SIGTERM or Ctrl-C')
  command.addHelpText('after', '\nIt is configured by environment variables: see .env.example and README.md.')
  return command.action(async () => {
    const config = readConfig(process.env)
    const asked = waitForSignal()
    void asked.then(endLater)
    // Not before it is needed: the other commands would be half a second slower for what only the service imports.
    const { serve } = await import('../roles/serve.ts')
    const running = await serve(config)
    if (config.roles.has('api')) {
      console.error(`Pebbles listens on ${running.url} (API: ${running.url}/docs)`)
      if (config.auth === 'dev')
        console.error('A token for trying it: npx pebbles token --email alice@example.com')
    } else {
      const roles = [...config.roles].join(', ')
      console.error(`Pebbles listens on ${running.url} (no API, only /livez, /readyz, /metrics; ${roles})`)
    }
    await asked
    await running[Symbol.asyncDispose]()
    process.exit(0)
  })
}

/**
 * A second signal ends the service at once, and so does a drain that takes too long, or a start that was not over when
 * the first one came: nothing acknowledged is in memory only.
 */
function endLater(): void {
  void waitForSignal().then(() => process.exit(1))
  setTimeout(() => process.exit(1), DRAIN_MS).unref()
}

function waitForSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      process.off('SIGTERM', stop).off('SIGINT', stop)
      resolve()
    }
    process.on('SIGTERM', stop).on('SIGINT', stop)
  })
}
