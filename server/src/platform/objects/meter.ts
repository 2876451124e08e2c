import { createHash } from 'node:crypto'
import { tooLarge } from './objects.ts'

/** Hashes and counts bytes as they pass. `pass` throws PebblesError `too_large` beyond `maxBytes`. */
export function createMeter(maxBytes: number) {
  const hash = createHash('sha256')
  let sizeBytes = 0
  return {
    pass(chunk: Uint8Array): void {
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) throw tooLarge(maxBytes)
      hash.update(chunk)
    },
    total: () => ({ sizeBytes, sha256: hash.digest('hex') }),
  }
}
