/**
 * `npm run generate -w client`: writes src/openapi.ts from the /openapi.json of a service that it starts for this,
 * on a folder of its own; or, given an address as the only argument, from one that runs.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../server/src/config.ts'
import { serve } from '../../server/src/roles/serve.ts'
import { type OpenApiDocument, openapiToTypes } from './openapi-to-types.ts'

await using opened = new AsyncDisposableStack()
const url = process.argv[2] ?? (await startService())
const response = await fetch(`${url}/openapi.json`)
if (!response.ok) throw new Error(`${url}/openapi.json was answered ${response.status}`)
const types = openapiToTypes((await response.json()) as OpenApiDocument)
await writeFile(new URL('../src/openapi.ts', import.meta.url), types)

async function startService(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'pebbles-types-'))
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  const config = readConfig({ PORT: '0', PEBBLES_DATA: dataDir, PEBBLES_ROLES: 'api', LOG_LEVEL: 'warn' })
  return opened.use(await serve(config)).url
}
