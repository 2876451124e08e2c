/**
 * `npm run build -w client`: the package as others install it, in client/dist: plain JavaScript for Node from 20 on
 * and for browsers, with its types. Inside this repository the sources are used as they are.
 */
import { spawnSync } from 'node:child_process'
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const root = new URL('..', import.meta.url)
const dist = new URL('dist/', root)

await rm(dist, { recursive: true, force: true })
const { status } = spawnSync('tsc', ['-p', fileURLToPath(new URL('tsconfig.build.json', root))], {
  stdio: 'inherit',
})
if (status !== 0) throw new Error(`tsc ended with ${status}; run this through npm, which knows where it is`)

const source = JSON.parse(await readFile(new URL('package.json', root), 'utf8'))
const { name, version, license, type, sideEffects } = source
const manifest = {
  ...{ name, version, license, type, sideEffects },
  description: 'Reports the progress of files to Pebbles, and watches it.',
  engines: { node: '>=20' },
  exports: { types: './index.d.ts', default: './index.js' },
}
await writeFile(new URL('package.json', dist), `${JSON.stringify(manifest, null, 2)}\n`)
await copyFile(new URL('README.md', root), new URL('README.md', dist))
