import type { Config } from '../config.ts'
import { createLog } from '../platform/log.ts'
import { startApi } from './api.ts'
import { openBase } from './base.ts'
import { startImports } from './imports.ts'

export interface Running extends AsyncDisposable {
  /** Where the API listens; undefined without the role `api`. */
  url: string | undefined
}

/** Starts every role of this process, in the order in which they need each other; ends them in reverse. */
export async function serve(config: Config): Promise<Running> {
  await using opened = new AsyncDisposableStack()
  const log = createLog(config.LOG_LEVEL)
  const base = opened.use(await openBase(config, log))
  if (config.roles.has('imports')) opened.use(await startImports(config, base, log))
  const api = config.roles.has('api') ? opened.use(await startApi(config, base, log)) : undefined
  const owned = opened.move()
  return { url: api?.url, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
