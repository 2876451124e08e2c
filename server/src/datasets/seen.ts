/**
 * Remembers in bounded memory which keys were seen: a Bloom filter whose four bits for a key lie in one word, so that a
 * look costs one cache miss. "No" is certain. "Yes" may be wrong, at 10,000,000 keys in one of a hundred cases.
 */
export interface SeenKeys {
  /** Whether the key may have been added before; adds it. */
  testAndAdd(key: string): boolean
}

/** 16 MiB, of which the system hands out only what is written to. */
const WORDS = 1 << 22

export function createSeenKeys(words = WORDS): SeenKeys {
  const bits = new Int32Array(words)
  return {
    testAndAdd(key) {
      // FNV-1a, then a mix: its high bits alone would choose the same words for similar keys.
      let hash = 0x811c9dc5
      for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
      const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
      const word = (mixed ^ (mixed >>> 13)) & (words - 1)
      const other = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
      const mask = (1 << other) | (1 << (other >>> 5)) | (1 << (other >>> 10)) | (1 << (other >>> 15))
      const seen = (bits[word]! & mask) === mask
      bits[word]! |= mask
      return seen
    },
  }
}
