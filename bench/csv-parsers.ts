/**
 * Which parser takes a file apart: those of npm that are well kept beside `jobs/csv`, on clean, quoted, wide and dirty
 * files, in memory, in chunks of 256 KiB, taking turns in one process. What counts is not only the time: a row that
 * comes out wrong, or not at all, is told.
 *
 *   npm run bench:csv-parsers -- [--megabytes 16] [--rounds 5]
 */
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { Readable } from 'node:stream'
import { parseArgs } from 'node:util'
import { parse as csvParse } from 'csv-parse'
import csvParser from 'csv-parser'
import Papa from 'papaparse'
import { inferSchema, initParser } from 'udsv'
import { splitCells } from '../server/src/jobs/csv/cells.ts'
import { createRowCutter } from '../server/src/jobs/csv/rows.ts'
import { median } from './bench.ts'

const { values: options } = parseArgs({
  options: { megabytes: { type: 'string', default: '16' }, rounds: { type: 'string', default: '5' } },
})
const size = Number(options.megabytes) * 1024 * 1024
const rounds = Number(options.rounds)
const CHUNK = 256 * 1024

type Rows = (cells: readonly string[]) => void
type Parse = (file: Buffer, onRow: Rows) => Promise<void>

const chunksOf = (file: Buffer) =>
  Array.from({ length: Math.ceil(file.length / CHUNK) }, (_, n) => file.subarray(n * CHUNK, (n + 1) * CHUNK))
const streamOf = (file: Buffer) => Readable.from(chunksOf(file), { objectMode: false })

const PARSERS: Record<string, Parse> = {
  async 'jobs/csv'(file, onRow) {
    const dialect = { delimiter: ',', quote: '"' } as const
    const onBytes = (row: string) => onRow(splitCells(row, dialect))
    const cutter = createRowCutter(dialect, { byteOffset: 0, rowNumber: 0 }, { onRow: onBytes })
    for (const chunk of chunksOf(file)) cutter.feed(chunk.toString('latin1'))
    cutter.end()
  },
  async 'csv-parse'(file, onRow) {
    // With what the import needs of it: where each row ends, and leniency.
    const parser = csvParse({
      info: true,
      relax_quotes: true,
      relax_column_count: true,
      record_delimiter: '\n',
    })
    streamOf(file).pipe(parser)
    for await (const { record } of parser as AsyncIterable<{ record: string[] }>) onRow(record)
  },
  async 'csv-parser'(file, onRow) {
    for await (const row of streamOf(file).pipe(csvParser({ headers: false })))
      onRow(Object.values(row as object))
  },
  papaparse(file, onRow) {
    return new Promise((resolve, reject) => {
      Papa.parse<string[]>(streamOf(file), {
        delimiter: ',',
        newline: '\n',
        step: ({ data }) => onRow(data),
        complete: () => resolve(),
        error: reject,
      })
    })
  },
  async udsv(file, onRow) {
    const decoder = new TextDecoder()
    const texts = chunksOf(file).map((chunk) => decoder.decode(chunk, { stream: true }))
    const schema = inferSchema(texts[0]!, { col: ',', row: '\n', header: () => [] })
    const parser = initParser(schema)
    const each = (row: string[]) => onRow(row)
    for (const text of texts) parser.chunk(text, parser.stringArrs, each)
    parser.end()
  },
}

/** Files as texts of rows, with the cells that a person would see in them. */
interface Line {
  text: string
  cells: string[]
}

const quoted = (cell: string) => `"${cell.replaceAll('"', '""')}"`
const plain = (cells: string[]): Line => ({ text: cells.join(','), cells })

const FILES: Record<string, (n: number) => Line> = {
  clean: (n) => plain([`Person ${n}`, `person.${n}@example.com`, '+1 202 555 0100', `Company ${n % 97} Ltd`]),
  quoted(n) {
    const cells = [
      `Person, ${n}`,
      `person.${n}@example.com`,
      `"${n}"\nsecond line`,
      `Company ${n % 97}, "Ltd"`,
    ]
    return { text: cells.map(quoted).join(','), cells }
  },
  wide: (n) => plain(Array.from({ length: 60 }, (_, at) => `${n % 1_000}.${at}`)),
  dirty(n) {
    const start = [`Person ${n}`, `person.${n}@example.com`]
    if (n % 4 === 0) return plain([...start, '5" pipe', 'say "yes"'])
    if (n % 4 === 1) return plain(start)
    if (n % 4 === 2) return plain([...start, 'a', 'b', 'c', 'd'])
    return { text: `${start.join(',')},"quoted" and more,x`, cells: [...start, '"quoted" and more', 'x'] }
  },
}

const results: Record<string, Record<string, { milliseconds: number[]; wrong: number | string }>> = {}
for (const [kind, lineOf] of Object.entries(FILES)) {
  const lines: Line[] = []
  for (let bytes = 0; bytes < size; ) {
    const line = lineOf(lines.length)
    lines.push(line)
    bytes += line.text.length + 1
  }
  const file = Buffer.from(lines.map(({ text }) => `${text}\n`).join(''))
  const names = Object.keys(PARSERS)
  const found = Object.fromEntries(
    names.map((name) => [name, { milliseconds: [] as number[], wrong: 0 as number | string }]),
  )
  results[kind] = found
  for (const name of names) found[name]!.wrong = await countWrong(PARSERS[name]!, file, lines)
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const start = performance.now()
      let rows = 0
      await PARSERS[name]!(file, () => rows++).catch(() => {})
      found[name]!.milliseconds.push(Math.round(performance.now() - start))
    }
  }
  console.log(`\n${kind}: ${lines.length} rows, ${Math.round(file.length / 1024 / 1024)} MiB`)
  for (const name of names) {
    const { milliseconds, wrong } = found[name]!
    const ratio = median(milliseconds) / median(found['jobs/csv']!.milliseconds)
    console.log(
      `${name.padEnd(11)} ${String(median(milliseconds)).padStart(6)} ms  ${ratio.toFixed(2).padStart(5)} ×  ${wrong} rows wrong`,
    )
  }
}
await writeFile(
  new URL('results/csv-parsers.json', import.meta.url),
  `${JSON.stringify({ at: new Date().toISOString(), machine: `${cpus().length} × ${cpus()[0]?.model}`, node: process.version, results }, null, 2)}\n`,
)

/** Rows that are not as they should be, those that are missing, and those that nobody wrote. */
async function countWrong(parse: Parse, file: Buffer, lines: Line[]): Promise<number | string> {
  let at = 0
  let right = 0
  try {
    await parse(file, (cells) => {
      const expected = lines[at++]?.cells
      if (expected && expected.length === cells.length && expected.every((cell, i) => cell === cells[i]))
        right++
    })
  } catch (error) {
    return `breaks off after ${at} (${(error as { code?: string }).code ?? (error as Error).name}), ${lines.length - right}`
  }
  return Math.max(at, lines.length) - right
}
