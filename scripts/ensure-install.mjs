// Runs before every npm script, on any Node from 20: installs what the lock file names when that is missing or
// older than the lock file, and builds the page when that is missing or older than its sources, so that `npm start` and
// `npm test` are all that a fresh clone needs.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const lock = `${root}package-lock.json`
// npm writes this file last, so it exists only after an install that went through.
const installed = `${root}node_modules/.package-lock.json`
const runtime = `${root}node_modules/node/bin/node`

const major = Number(process.versions.node.split('.')[0])
if (major < 20) fail(`Pebbles needs Node 20 or newer to set itself up; this is ${process.version}.`)

const isFresh = existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs
if (!isFresh) {
  console.error('Installing dependencies (once; about half a minute) …')
  run(['ci', '--no-fund', '--no-audit', '--loglevel=error'], 'npm ci')
}
if (process.platform !== 'win32' && !existsSync(runtime)) {
  // An npm that was told to ignore install scripts leaves the runtime out.
  run(['rebuild', 'node', '--ignore-scripts=false', '--loglevel=error'], 'npm rebuild node')
  if (!existsSync(runtime)) fail('The Node runtime was not installed: are install scripts switched off?')
}

const page = `${root}web/dist/index.html`
const sources = [
  'web/src',
  'web/scripts',
  'client/src',
  'web/index.html',
  'web/vite.config.ts',
  'web/package.json',
]
if (!existsSync(page) || statSync(page).mtimeMs < newestMs([lock, ...sources.map((path) => root + path)])) {
  console.error('Building the page (a few seconds) …')
  const node = existsSync(runtime) ? runtime : process.execPath
  const { status, error } = spawnSync(node, [`${root}web/scripts/build.ts`], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  })
  if (error || status !== 0) fail(`The page could not be built${error ? `: ${error.message}` : ''}.`)
}

/**
 * When the newest of these, or of what is in them, was changed. A folder changes when a file in it goes.
 *
 * @param {string[]} paths
 * @returns {number}
 */
function newestMs(paths) {
  let newest = 0
  for (const path of paths) {
    const stats = statSync(path)
    const inside = stats.isDirectory() ? newestMs(readdirSync(path).map((name) => `${path}/${name}`)) : 0
    newest = Math.max(newest, stats.mtimeMs, inside)
  }
  return newest
}

/** @param {string[]} args @param {string} name */
function run(args, name) {
  const npm = process.env.npm_execpath
  // Through npm's own file where it is known: `npm` on the PATH is a shell script on some systems.
  const [command, prefix] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []]
  const { status, error } = spawnSync(command, [...prefix, ...args], { cwd: root, stdio: ['ignore', 2, 2] })
  if (error || status !== 0)
    fail(`${name} failed${error ? `: ${error.message}` : ` with exit code ${status}`}.`)
}

/** @param {string} message */
function fail(message) {
  console.error(message)
  process.exit(1)
}
