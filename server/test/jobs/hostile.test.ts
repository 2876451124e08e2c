import { before, describe, test } from 'node:test'
import { suiteScope } from '../helpers/scope.ts'
import type { SpawnedServer } from '../helpers/server.ts'
import { runHostileFile, spawnSmallServer } from '../verify/hostile.ts'
import { HOSTILE_FILES } from '../verify/hostile-files.ts'

/** Small enough for every day, and beyond each limit. The full size: `npm run verify:imports -- --hostile`. */
const SCALE = 0.006

describe('hostile files', { skip: process.platform === 'linux' ? false : 'reads /proc' }, () => {
  const scope = suiteScope()
  let server: SpawnedServer
  before(async () => {
    server = await spawnSmallServer(scope)
  })

  for (const [index, file] of HOSTILE_FILES.entries()) {
    test(`F13 ${file.what}: bounded memory, a clear message, and what is good in it gets through`, async () => {
      await runHostileFile(server, file, { scale: SCALE, clientKrn: `krn:hostile:${index}` })
    })
  }
})
