/**
 * `npm run build -w web`: builds the page into web/dist, with compressed copies of what compresses well. Fails when the
 * JavaScript of the first load has more than its budget.
 */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { build } from 'vite'

const ROOT = join(import.meta.dirname, '..')
const DIST = join(ROOT, 'dist')
/** Bytes of gzipped JavaScript that a browser loads before the page works. */
const BUDGET = 300_000
const COMPRESSED = new Set(['.js', '.css', '.svg', '.html'])

// Beside its place and then renamed, so that a server, or a second build, never finds half a page.
const building = `${DIST}.${process.pid}`
try {
  await build({
    root: ROOT,
    configFile: join(ROOT, 'vite.config.ts'),
    logLevel: 'warn',
    build: { outDir: building },
  })
  await compressAll(building)
  const bytes = await initialBytes(building)
  const used = `${Math.round(bytes / 1000)} of ${BUDGET / 1000} kB of JavaScript`
  if (bytes > BUDGET) throw new Error(`the page is too heavy: ${used}`)
  await replace(DIST, building)
  console.error(`The page is built: ${used}, gzipped.`)
} finally {
  await rm(building, { recursive: true, force: true })
}

/** Puts the new page in the place of the old one. When somebody else has just done so, theirs stays: it is as new. */
async function replace(old: string, fresh: string): Promise<void> {
  await rm(old, { recursive: true, force: true })
  await rename(fresh, old).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
  })
}

async function compressAll(dir: string): Promise<void> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    if (!entry.isFile() || !COMPRESSED.has(extname(entry.name))) continue
    const path = join(entry.parentPath, entry.name)
    const content = await readFile(path)
    const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }
    await writeFile(`${path}.gz`, await promisify(gzip)(content, { level: 9 }))
    await writeFile(`${path}.br`, await promisify(brotliCompress)(content, quality))
  }
}

/** Scripts that index.html names, by itself or as preloads of what they import. */
async function initialBytes(dir: string): Promise<number> {
  const html = await readFile(join(dir, 'index.html'), 'utf8')
  const scripts = new Set([...html.matchAll(/(?:src|href)="\.\/([^"]+\.js)"/g)].map(([, path]) => path!))
  if (scripts.size === 0) throw new Error('index.html names no script')
  const sizes = await Promise.all(
    [...scripts].map(async (path) => (await readFile(join(dir, `${path}.gz`))).length),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
