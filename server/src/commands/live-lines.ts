import { stripVTControlCharacters } from 'node:util'

/** Elsewhere than on a terminal, a line is printed at most this often. */
const PLAIN_INTERVAL_MS = 1_000
const UP_AND_CLEAR = (lines: number) => `\x1b[${lines}A\x1b[0J`
/** A line that is too long is cut by the terminal: only it knows how wide its characters are. */
const NO_WRAP = '\x1b[?7l'
const WRAP = '\x1b[?7h'

/**
 * Lines that change: rewritten in place on a terminal, printed anew (at most once a second each) elsewhere.
 *
 * Own code instead of a library: cli-progress, the usual one, is for bars of known length only, has had no release
 * since 2023, and brings more to configure than there is here to write.
 */
export interface LiveLines {
  /** Shows a line, or its new text. A final one is printed at once and stays. */
  show(key: string, line: string, options?: { isFinal?: boolean }): void
  /** Prints a remark above the lines. */
  note(text: string): void
  /** Prints what still waits to be printed. */
  end(): void
}

export function createLiveLines(out: NodeJS.WriteStream = process.stdout): LiveLines {
  return out.isTTY ? createTerminalLines(out) : createPlainLines(out)
}

function createTerminalLines(out: NodeJS.WriteStream): LiveLines {
  const lines = new Map<string, string>()
  let drawn = 0
  const room = () => Math.max(1, (out.rows ?? 24) - 2)

  function draw(above = ''): void {
    const shown = [...lines.values()].slice(-room())
    const hidden = lines.size - shown.length
    if (hidden > 0) shown[0] = `… and ${hidden + 1} more`
    const erase = drawn > 0 ? UP_AND_CLEAR(drawn) : ''
    out.write(`${erase}${NO_WRAP}${above}${shown.map((line) => `${line}\n`).join('')}${WRAP}`)
    drawn = shown.length
  }

  return {
    show(key, line, { isFinal = false } = {}) {
      // Lines keep their places, unless there are more than fit: then those that change move to where they are seen.
      if (isFinal || lines.size > room()) lines.delete(key)
      if (isFinal) {
        draw(`${line}\n`)
      } else {
        lines.set(key, line)
        draw()
      }
    },
    note: (text) => draw(`${text}\n`),
    end: () => {},
  }
}

function createPlainLines(out: NodeJS.WritableStream): LiveLines {
  const printedAt = new Map<string, number>()
  const waiting = new Map<string, string>()
  let timer: NodeJS.Timeout | undefined

  function print(key: string, line: string): void {
    printedAt.set(key, Date.now())
    waiting.delete(key)
    out.write(`${line}\n`)
  }

  function printWaiting(): void {
    clearTimeout(timer)
    timer = undefined
    for (const [key, line] of waiting) print(key, line)
  }

  return {
    show(key, line, { isFinal = false } = {}) {
      if (isFinal || Date.now() - (printedAt.get(key) ?? 0) >= PLAIN_INTERVAL_MS) return print(key, line)
      waiting.set(key, line)
      timer ??= setTimeout(printWaiting, PLAIN_INTERVAL_MS)
    },
    note: (text) => void out.write(`${text}\n`),
    end: printWaiting,
  }
}

/** A text of somebody else's, without what would move the cursor or ring the bell. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\p{Cc}/gu, '\uFFFD')
}
