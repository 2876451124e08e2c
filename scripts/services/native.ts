import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { birthOf } from './birth.ts'
import type { Engine } from './engine.ts'
import { freePort, logOf, signalGroup } from './process.ts'
import type { ServiceName } from './service.ts'
import type { Started } from './state.ts'

const STOP_TIMEOUT_MS = 20_000

/** Processes of this machine, with programs and data below `root`. */
export function nativeEngine(root: string): Engine {
  const cacheDir = join(root, 'programs')
  const dataDirOf = (name: ServiceName) => join(root, 'data', name)
  return {
    whereItLogs: (name) => logOf(dataDirOf(name)),
    async start(service, begun) {
      const missing = service.missing(cacheDir)
      if (missing) throw new Error(missing)
      await service.install(cacheDir)
      const dataDir = dataDirOf(service.name)
      const started: Started = { port: await freePort() }
      await service.start({
        cacheDir,
        dataDir,
        port: started.port,
        durable: true,
        outlives: true,
        async onSpawn(pid) {
          const birth = await birthOf(pid)
          if (birth === undefined) throw new Error(`it ended at once; see ${logOf(dataDir)}`)
          started.process = { pid, birth }
          await begun(started)
        },
      })
      return started
    },
    async stop(_name, started) {
      if (!(await isThere(started))) return
      const { pid } = started.process!
      signalGroup(pid, 'SIGTERM')
      // A frozen one takes no SIGTERM.
      signalGroup(pid, 'SIGCONT')
      for (const deadline = Date.now() + STOP_TIMEOUT_MS; await isThere(started); await delay(20)) {
        if (Date.now() > deadline) signalGroup(pid, 'SIGKILL')
      }
    },
    isThere: (_name, started) => isThere(started),
  }
}

/** The number alone says little: after a while another process has it. */
async function isThere({ process }: Started): Promise<boolean> {
  return process !== undefined && (await birthOf(process.pid)) === process.birth
}
