/**
 * Runs the commands of the README's first run and of the API examples as a reader would, line by line in bash, against
 * a server on a free port with a data folder of its own. Fails when a command fails, or when its output is not the one
 * that is shown (`…` in it stands for anything). A refusal that is shown as one is no failure.
 *
 *   npm run verify:readme
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DOCUMENTS = [{ path: 'README.md', section: '## First run' }, { path: 'examples/api-usage.md' }]
const README_ADDRESS = 'http://localhost:8081'
const START_MS = 60_000
const RUN_MS = 60_000
const STOP_MS = 30_000
/** What curl ends with after `--max-time`: a stream that was watched for a while. */
const CURL_TIMED_OUT = 28
/** What curl ends with when it was answered 400 or above. */
const CURL_REFUSED = 22

/** A block of a document: commands, and the output that is shown below them. */
interface Step {
  commands: string[]
  shown: string[]
}

/** What became of one command. */
interface Result {
  status: number
  text: string
}

await using opened = new AsyncDisposableStack()
const dir = await mkdtemp(join(tmpdir(), 'pebbles-readme-'))
opened.defer(() => rm(dir, { recursive: true, force: true }))
// Without it curl takes an answer of 400 or 500 for a success.
await writeFile(join(dir, '.curlrc'), 'fail-with-body\nshow-error\n')
const env = { ...process.env, PORT: '0', PEBBLES_DATA: join(dir, 'data'), CURL_HOME: dir, NO_COLOR: '1' }
const server = spawn('npm', ['start'], {
  cwd: ROOT,
  env,
  stdio: ['ignore', 'ignore', 'pipe'],
  detached: true,
})
opened.defer(() => stopGroup(server))
const url = await within(START_MS, 'the server did not start', readAddress(server))
for (const { path, section } of DOCUMENTS) {
  const steps = readSteps(await readFile(join(ROOT, path), 'utf8'), section)
  const outputs = await within(RUN_MS, 'the commands did not end', runInBash(steps, url))
  const faults = steps.flatMap((step, index) => findFaults(step, outputs[index]!))
  if (faults.length === 0) console.log(`${path}: ${steps.length} blocks work as shown.`)
  else {
    console.error([path, ...faults].join('\n'))
    process.exitCode = 1
  }
}

function findFaults({ commands, shown }: Step, results: Result[]): string[] {
  const isRefusalShown = shown.some((line) => line.includes('"status":4'))
  const faults = commands.flatMap((command, at) => {
    const status = results[at]?.status
    if (status === 0 || (status === CURL_TIMED_OUT && command.includes('--max-time'))) return []
    return status === CURL_REFUSED && isRefusalShown ? [] : [`exit code ${status}: ${command}`]
  })
  const output = results.map(({ text }) => text).join('\n')
  const missing = findMissing(output, shown)
  if (missing !== undefined)
    faults.push(`after ${commands.join('\n')}\nthe output is not as shown, from: ${missing}`)
  return faults.length === 0 ? [] : [...faults, 'It was:', output, '']
}

/** The blocks of commands in a section, or in the whole document, each with the text block that follows it. */
function readSteps(document: string, section?: string): Step[] {
  const start = section === undefined ? 0 : document.indexOf(`\n${section}\n`) + 1
  if (section !== undefined && start === 0) throw new Error(`there is no section "${section}"`)
  const end = section === undefined ? -1 : document.indexOf('\n## ', start)
  const text = document.slice(start, end === -1 ? undefined : end)
  const found: Step[] = []
  for (const [, language, content = ''] of text.matchAll(/^```(bash|text)\n(.*?)^```$/gms)) {
    const lines = content.split('\n').filter((line) => line.trim() !== '')
    if (language === 'bash') found.push({ commands: lines, shown: [] })
    else found.at(-1)?.shown.push(...lines)
  }
  if (found.length === 0) throw new Error('there are no commands')
  return found
}

/** One shell for all lines, as in a terminal; after each line it tells the exit code. */
async function runInBash(all: Step[], address: string): Promise<Result[][]> {
  const script = all.flatMap(({ commands }) =>
    commands.flatMap((command) => [command, `printf '\\n::exit %s::\\n' "$?"`]),
  )
  const shell = spawn(
    'bash',
    ['--noprofile', '--norc', '-c', script.join('\n').replaceAll(README_ADDRESS, address)],
    {
      cwd: ROOT,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    },
  )
  opened.defer(() => stopGroup(shell))
  let text = ''
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
  }
  await once(shell, 'close')
  const results = [...text.matchAll(/(.*?)\n::exit (\d+)::\n/gs)].map(([, output = '', status]) => ({
    status: Number(status),
    text: output.trim(),
  }))
  return all.map(({ commands }) => results.splice(0, commands.length))
}

/** The first of the shown pieces that does not follow the ones before it; `undefined` when all are there. */
function findMissing(output: string, shown: string[]): string | undefined {
  let from = 0
  for (const piece of shown.flatMap((line) => line.split('…')).map((text) => text.trim())) {
    const at = output.indexOf(piece, from)
    if (at === -1) return piece
    from = at + piece.length
  }
  return undefined
}

async function readAddress(child: ChildProcess): Promise<string> {
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stderr! })) {
    lines.push(line)
    const found = /listens on (http:\S+)/.exec(line)?.[1]
    if (found) {
      child.stderr!.resume()
      return found
    }
  }
  throw new Error(`the server did not start:\n${lines.join('\n')}`)
}

/**
 * Ends a process and all that it started, as Ctrl-C in a terminal does, and waits until the last of them has closed
 * its output: npm alone would be gone before the server, which it runs in a shell that passes no signal on.
 */
async function stopGroup(child: ChildProcess): Promise<void> {
  const { pid } = child
  if (pid === undefined || child.stderr!.closed) return
  const closed = once(child, 'close')
  const signal = (name: NodeJS.Signals) => {
    try {
      process.kill(-pid, name)
    } catch {
      // Nobody is left in the group.
    }
  }
  signal('SIGTERM')
  const timer = setTimeout(() => signal('SIGKILL'), STOP_MS)
  await closed
  clearTimeout(timer)
}

async function within<T>(ms: number, fault: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${fault} within ${ms / 1000} s`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
