import assert from 'node:assert/strict'
import { access, glob, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ENVIRONMENT } from '../src/config.ts'
import { startServer } from './helpers/server.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFile(join(ROOT, path), 'utf8')

/** Defaults as texts; empty where there is none. */
const VARIABLES = Object.entries(ENVIRONMENT.properties).map(([name, schema]) => {
  const { default: fallback } = schema as { default?: unknown }
  return { name, fallback: fallback === undefined ? '' : String(fallback) }
})

describe('documents', () => {
  test('README names every environment variable with its default', async () => {
    const rows = (await tableOf('## Configuration')).map(([name = '', fallback = '']) => ({
      name: plain(name),
      fallback: fallback === '–' ? '' : plain(fallback),
    }))
    assert.deepEqual(rows, VARIABLES)
  })

  test('.env.example names every environment variable with its default', async () => {
    const lines = (await read('.env.example')).matchAll(/^# ([A-Z0-9_]+)=(.*)$/gm)
    const given = [...lines].map(([, name, fallback]) => ({ name, fallback }))
    assert.deepEqual(given, VARIABLES)
  })

  test('README names every path of the API, and none that is not there', async (t) => {
    const server = await startServer(t)
    const { body } = await server.call('GET', '/openapi.json', { token: null })
    const paths = Object.entries<object>(body.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    const rows = (await tableOf('## API')).map(([method = '', path = '']) => `${method} ${plain(path)}`)
    assert.deepEqual(rows.sort(), paths.sort())
  })

  test('README names every metric of the service, and none that is not there', async (t) => {
    const server = await startServer(t)
    const { body } = await server.call('GET', '/metrics', { token: null })
    const served = [...body.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name as string)
    const named = (await tableOf('### Metrics')).map(([name = '']) => plain(name))
    // Without consumers and Kafka there is nothing to tell of them.
    const isOfQueues = (name: string) => /^pebbles_(consumer|stream_published|stream_unpublished)_/.test(name)
    assert.deepEqual(named.filter((name) => !isOfQueues(name)).sort(), served.sort())
    assert.equal(named.filter(isOfQueues).length, 5)
  })

  test('links between documents lead somewhere', async () => {
    const broken: string[] = []
    for (const document of await documents()) {
      for (const [, target = ''] of (await read(document)).matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)) {
        const path = join(ROOT, dirname(document), target)
        await access(path).catch(() => broken.push(`${document}: ${target}`))
      }
    }
    assert.deepEqual(broken, [])
  })

  test('npm scripts that documents name exist', async () => {
    const scriptsOf = async (folder: string) =>
      (JSON.parse(await read(join(folder, 'package.json'))) as { scripts?: object }).scripts ?? {}
    const unknown: string[] = []
    for (const document of await documents()) {
      for (const [command, name = '', folder = '.'] of (await read(document)).matchAll(
        /npm run ([\w:-]+)(?: -w (\w+))?/g,
      )) {
        if (!Object.hasOwn(await scriptsOf(folder), name)) unknown.push(`${document}: ${command}`)
      }
    }
    assert.deepEqual(unknown, [])
  })
})

/** Cells of the first table below a heading of the README, without its head. */
async function tableOf(heading: string): Promise<string[][]> {
  const readme = await read('README.md')
  const start = readme.indexOf(`\n${heading}\n`)
  assert.notEqual(start, -1, `README.md has no "${heading}"`)
  const table = /(?:^\|.*\|$\n?)+/m.exec(readme.slice(start))?.[0] ?? ''
  const rows = table.trim().split('\n').slice(2)
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

/** A cell without the backquotes around it. */
const plain = (cell: string) => cell.replace(/^`(.*)`$/, '$1')

async function documents(): Promise<string[]> {
  const found = await Array.fromAsync(glob(['*.md', 'docs/**/*.md', 'examples/**/*.md'], { cwd: ROOT }))
  assert.ok(found.includes('README.md'))
  return found
}
