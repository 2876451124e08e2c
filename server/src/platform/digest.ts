import { hash } from 'node:crypto'

/** A 128-bit digest of texts that hold no NUL, in the form of a UUID, which databases store in 16 bytes. */
export function digest(...parts: string[]): string {
  const hex = hash('sha256', parts.join('\0'), 'hex')
  // Joined, and not a template: that would be a tree of a dozen strings, and live as long as what it names.
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  )
}
