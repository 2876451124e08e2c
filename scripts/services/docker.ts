import { spawnSync } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Engine } from './engine.ts'
import { run } from './install.ts'
import { freePort } from './process.ts'
import type { ServiceName } from './service.ts'

const FILE = fileURLToPath(new URL('../../deploy/compose.yml', import.meta.url))
const COMPOSE = ['compose', '--file', FILE, '--project-name', 'pebbles-services']
const READY_TIMEOUT_MS = 120_000

/** Whether there is an engine that answers, and its Compose. */
export function dockerIsHere(): boolean {
  return [['info'], ['compose', 'version']].every((args) => spawnSync('docker', args).status === 0)
}

/** Containers of deploy/compose.yml, which takes the port of each from the environment: `KAFKA_PORT`. */
export const dockerEngine: Engine = {
  whereItLogs: (name) => `docker ${COMPOSE.join(' ')} logs ${name}`,
  async start(service, begun) {
    const port = await freePort()
    await begun({ port })
    const variable = `${service.name.toUpperCase()}_PORT`
    await run('docker', [...COMPOSE, 'up', '--detach', service.name], { [variable]: String(port) })
    for (const deadline = Date.now() + READY_TIMEOUT_MS; ; await delay(100)) {
      if (await service.answers(port).catch(() => false)) return { port }
      if (Date.now() > deadline)
        throw new Error(`it does not answer; see: ${dockerEngine.whereItLogs(service.name)}`)
    }
  },
  async stop(name) {
    await run('docker', [...COMPOSE, 'rm', '--stop', '--force', name])
  },
  async isThere(name: ServiceName) {
    return (await run('docker', [...COMPOSE, 'ps', '--quiet', '--status', 'running', name])).trim() !== ''
  },
}
