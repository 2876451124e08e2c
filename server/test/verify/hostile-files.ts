/**
 * Files that want to hurt: huge in rows, columns, cells or quotes. They are generated piece by piece and are in no
 * memory as a whole, here or in the server. `scale` 1 is the full size; less is for `npm test`.
 */
export interface HostileFile {
  what: string
  chunks: (scale: number) => Iterable<string | Buffer>
  /** What has to come of it. */
  expect: (
    scale: number,
  ) => { fault: string } | { success: number; failed: number; firstError?: RegExp | undefined }
}

const HEADER = 'name,email,phone,company\n'
/** A row that has to get through whatever came before it. */
const GOOD = 'Ann,ann@example.com,,Acme\n'
const CHUNK = 64 * 1024

const million = (scale: number, millions = 1) => Math.max(1, Math.round(millions * 1_000_000 * scale))

/** `unit` again and again, `times` in all, in pieces that fit into memory. */
function* repeat(unit: string | Buffer, times: number): Generator<string | Buffer> {
  const perChunk = Math.max(1, Math.floor(CHUNK / unit.length))
  const chunk = typeof unit === 'string' ? unit.repeat(perChunk) : Buffer.concat(Array(perChunk).fill(unit))
  let left = times
  for (; left >= perChunk; left -= perChunk) yield chunk
  if (left > 0) yield chunk.slice(0, left * unit.length)
}

const tooLong = (byteLength: number) =>
  new RegExp(`^row: is longer than 1 MiB \\(it has ${byteLength.toLocaleString('en-US')} bytes\\)`)

export const HOSTILE_FILES: HostileFile[] = [
  {
    what: 'a header of 1,000,000 columns',
    *chunks() {
      yield HEADER.trimEnd()
      yield* repeat(',', 1_000_000)
      yield `\n${GOOD}`
    },
    expect: () => ({ fault: 'The header has 1,000,004 columns; at most 16,384 can be read.' }),
  },
  {
    what: 'a header of 1,000,000 named columns',
    *chunks() {
      yield HEADER.trimEnd()
      for (let n = 0; n < 100; n++) yield* repeat(`,column ${n}`, 10_000)
      yield `\n${GOOD}`
    },
    expect: () => ({
      fault: 'Row 1, the header, is longer than 1 MiB; a quote in it may not be closed.',
    }),
  },
  {
    what: 'rows of 1,000,000 columns',
    *chunks(scale) {
      yield HEADER
      for (let n = 0; n < 6 * scale; n++) {
        yield 'Bob,bob,'
        yield* repeat(',', 1_000_000)
        yield 'x\n'
      }
      yield GOOD
    },
    expect: (scale) => ({
      success: 1,
      failed: Math.ceil(6 * scale),
      firstError: /^row: has 1000003 cells, and the header has 4; email: is not/,
    }),
  },
  {
    what: 'rows of 500,000 quoted columns',
    *chunks(scale) {
      yield HEADER
      for (let n = 0; n < 6 * scale; n++) {
        yield 'Bob,bob'
        yield* repeat(',""', 349_000)
        yield ',x\n'
      }
      yield GOOD
    },
    expect: (scale) => ({ success: 1, failed: Math.ceil(6 * scale), firstError: /^row: has 349003 cells/ }),
  },
  {
    what: 'a cell of 1 GB',
    *chunks(scale) {
      yield `${HEADER}B,b@example.com,,`
      yield* repeat('x', million(scale, 1_000))
      yield `\n${GOOD}`
    },
    expect: (scale) => ({ success: 1, failed: 1, firstError: tooLong(17 + million(scale, 1_000)) }),
  },
  {
    what: 'a quoted cell of 1 GB, with rows inside',
    *chunks(scale) {
      yield `${HEADER}B,b@example.com,,"`
      yield* repeat('x,y,"",\r\n', million(scale, 1_000 / 9))
      yield `"\n${GOOD}`
    },
    expect: (scale) => ({ success: 1, failed: 1, firstError: tooLong(19 + 9 * million(scale, 1_000 / 9)) }),
  },
  {
    what: 'a quote that is never closed, 1 GB before the end',
    *chunks(scale) {
      yield `${HEADER}${GOOD}B,b@example.com,,"`
      yield* repeat('x,y,z,w\n', million(scale, 1_000 / 8))
    },
    expect: () => ({ fault: 'Row 3: a quote is opened that is never closed.' }),
  },
  {
    what: 'a header of 1 GB without an end',
    *chunks(scale) {
      yield 'name,email,company,"'
      yield* repeat('x', million(scale, 1_000))
    },
    expect: () => ({ fault: 'Row 1, the header, is longer than 1 MiB; a quote in it may not be closed.' }),
  },
  {
    what: 'NUL bytes alone',
    chunks: (scale) => repeat('\0', million(scale, 200)),
    expect: () => ({
      fault: 'The file is not a CSV: it is binary data. Save it as CSV and upload it again.',
    }),
  },
  {
    what: 'NUL bytes behind a header',
    *chunks(scale) {
      yield HEADER + 'x'.repeat(4_096)
      yield* repeat('\0', million(scale, 200))
      yield `\n${GOOD}`
    },
    expect: (scale) => ({ success: 1, failed: 1, firstError: tooLong(4_096 + million(scale, 200)) }),
  },
  {
    what: 'NUL bytes in every cell',
    *chunks(scale) {
      yield HEADER + GOOD
      yield* repeat('Bob\0\0,\0b@example.com,\0,Bits and pieces of all kinds\0\n', million(scale, 1))
    },
    expect: (scale) => ({
      success: 1,
      failed: million(scale, 1),
      firstError: /^name: must not contain a NUL character; email: must not contain a NUL/,
    }),
  },
  {
    what: '10,000,000 empty lines before the header',
    *chunks(scale) {
      yield* repeat('\n', million(scale, 5))
      yield* repeat('\r\n', million(scale, 5))
      yield HEADER + GOOD
    },
    expect: () => ({ success: 1, failed: 0 }),
  },
  {
    what: '10,000,000 empty lines behind it',
    *chunks(scale) {
      yield HEADER
      yield* repeat('\n', million(scale, 3))
      yield* repeat(' \t\r\n', million(scale, 3))
      yield* repeat('\r', million(scale, 4))
      yield GOOD
    },
    expect: () => ({ success: 1, failed: 0 }),
  },
  {
    what: '10,000,000 empty lines and no more',
    chunks: (scale) => repeat('\n', million(scale, 10)),
    expect: () => ({ fault: 'The file has no header: it holds only blank rows.' }),
  },
  {
    what: '10,000,000 rows of one letter',
    *chunks(scale) {
      yield HEADER
      yield* repeat('a\n', million(scale, 10))
      yield GOOD
    },
    expect: (scale) => ({
      success: 1,
      failed: million(scale, 10),
      firstError: /^row: has 1 cell, and the header has 4; email: is required; company: is required$/,
    }),
  },
  {
    what: 'a row of nothing but quotes',
    *chunks(scale) {
      yield HEADER
      yield* repeat('""', million(scale, 100))
      yield `\n${GOOD}`
    },
    expect: (scale) => ({ success: 1, failed: 1, firstError: tooLong(2 * million(scale, 100)) }),
  },
  {
    what: 'rows of nothing but quotes, each below 1 MiB',
    *chunks(scale) {
      yield HEADER
      for (let n = 0; n < 6 * scale; n++) {
        yield* repeat('""', 500_000)
        yield '\n'
        yield* repeat('"",', 340_000)
        yield '\n'
        yield* repeat('"x"y', 250_000)
        yield '\n'
      }
      yield GOOD
    },
    expect: (scale) => ({ success: 1, failed: 3 * Math.ceil(6 * scale), firstError: /^row: has 1 cell/ }),
  },
  {
    what: 'a header of nothing but quotes',
    *chunks() {
      yield* repeat('""', 500_000)
      yield `\n${GOOD}`
    },
    expect: () => ({
      fault: 'The first row is not a header: it has none of the columns name, email, phone, company.',
    }),
  },
  {
    what: 'a header of quoted names without an end',
    *chunks(scale) {
      yield HEADER.trimEnd()
      yield* repeat(',"x"', million(scale, 50))
    },
    expect: () => ({ fault: 'Row 1, the header, is longer than 1 MiB; a quote in it may not be closed.' }),
  },
  {
    what: 'a header of spaces',
    *chunks(scale) {
      yield* repeat(' ', million(scale, 200))
      yield `x\n${GOOD}`
    },
    expect: () => ({ fault: 'Row 1, the header, is longer than 1 MiB; a quote in it may not be closed.' }),
  },
  {
    what: 'a row that begins with 200 MB of spaces',
    *chunks(scale) {
      yield HEADER
      yield* repeat(' ', million(scale, 200))
      yield `x\n${GOOD}`
    },
    expect: (scale) => ({ success: 1, failed: 1, firstError: tooLong(1 + million(scale, 200)) }),
  },
  {
    what: 'halves of surrogate pairs in UTF-16',
    *chunks(scale) {
      yield Buffer.from(`\ufeff${HEADER}`, 'utf16le')
      yield* repeat(Buffer.from('\ud800', 'utf16le'), million(scale, 100))
      yield Buffer.from(`\n${GOOD}`, 'utf16le')
    },
    expect: (scale) => ({ success: 1, failed: 1, firstError: tooLong(3 * million(scale, 100)) }),
  },
  {
    what: 'rows that are no text',
    *chunks(scale) {
      yield `${HEADER}Änn,ann@example.com,,Acme\n`
      yield* repeat(
        Buffer.concat([Buffer.alloc(100_000, 'é'), Buffer.from([0xff, 0x0a])]),
        million(scale, 1 / 1_000),
      )
    },
    expect: (scale) => ({
      success: 1,
      failed: million(scale, 1 / 1_000),
      firstError: /^row: holds bytes that are not text in UTF-8, at byte 100001 of the row$/,
    }),
  },
]
