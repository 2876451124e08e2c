import { Command } from 'commander'
import { readConfig } from '../config.ts'

const DRAIN_MS = 20_000

export function serveCommand(): Command {
  return new Command('serve').description('run the service until SIGTERM or Ctrl-C').action(async () => {
    const config = readConfig(process.env)
    const asked = waitForSignal()
    // Not before it is needed: the other commands would be half a second slower for what only the service imports.
    const { serve } = await import('../roles/serve.ts')
    const running = await serve(config)
    if (running.url) {
      console.error(`Pebbles listens on ${running.url} (API: ${running.url}/docs)`)
      if (config.auth === 'dev')
        console.error('A token for trying it: npx pebbles token --email alice@example.com')
    }
    await asked
    // A second signal, or a drain that takes too long, ends it at once: nothing acknowledged is in memory only.
    void waitForSignal().then(() => process.exit(1))
    setTimeout(() => process.exit(1), DRAIN_MS).unref()
    await running[Symbol.asyncDispose]()
    process.exit(0)
  })
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
