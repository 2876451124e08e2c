/**
 * How many different values there were, in little memory: HyperLogLog with 4,096 registers, which errs by 1.6 % (one
 * standard deviation). Up to 128 values are kept as their hashes, and counted exactly.
 *
 * A sketch is a function of the set of values alone, whatever their order and however often each comes, also when
 * sketches of parts were merged. So what is read again after a crash gives the same number.
 */
import { createRequire } from 'node:module'

const PRECISION = 12
/** Standard deviation of an estimate, relative. */
export const STANDARD_ERROR = 1.04 / Math.sqrt(2 ** PRECISION)
/** With more hashes than that registers take over, at eight times the memory. */
const MAX_HASHES = 128
/** First byte of a stored sketch: hash, precision and layout as they are here. */
const FORMAT = 1
const NO_HASHES = new Int32Array(0)

export interface Sketch {
  /** The first `size` are taken. */
  hashes: Int32Array
  size: number
  /** Instead of hashes, once there are too many. */
  registers: Registers | undefined
}

interface Registers {
  addHash(hash: number): void
  absorb(bytes: Uint8Array): void
  readonly bytes: Uint8Array
  count(): number
}

/** Loaded when the first value is hashed: it takes 170 ms and 33 MB, which streams without `distinct` need not pay. */
let library: ReturnType<typeof load> | undefined

function load() {
  const { HyperLogLog } = createRequire(import.meta.url)('hyperlolo') as typeof import('hyperlolo')
  class Estimator extends HyperLogLog {
    constructor() {
      super({ precision: PRECISION })
    }
    hash(text: string): number {
      return this.hasher.hash(text) | 0
    }
    addHash(hash: number): void {
      const place = this.hasher.regIdx(hash)
      const run = this.hasher.runLength(hash) + 1
      if (run > this.registers[place]!) this.registers[place] = run
    }
    absorb(bytes: Uint8Array): void {
      for (let i = 0; i < bytes.length; i++) if (bytes[i]! > this.registers[i]!) this.registers[i] = bytes[i]!
    }
    get bytes(): Uint8Array {
      return this.registers
    }
  }
  return { Estimator, hasher: new Estimator() }
}

/** 32 bits of a value, which is what sketches are made of. Numbers and their texts are the same. */
export function hashOf(value: string | number | boolean): number {
  library ??= load()
  return library.hasher.hash(String(value))
}

export const createSketch = (): Sketch => ({ hashes: new Int32Array(4), size: 0, registers: undefined })

/** @returns how many bytes more the sketch takes */
export function addHash(sketch: Sketch, hash: number): number {
  const { hashes, size, registers } = sketch
  for (let i = 0; i < size; i++) if (hashes[i] === hash) return 0
  if (registers !== undefined || size === MAX_HASHES) {
    registersOf(sketch).addHash(hash)
    return registers === undefined ? 2 ** PRECISION : 0
  }
  let grownBytes = 0
  if (size === hashes.length) {
    sketch.hashes = new Int32Array(size * 2)
    sketch.hashes.set(hashes)
    grownBytes = size * 4
  }
  sketch.hashes[sketch.size++] = hash
  return grownBytes
}

/** Adds what another sketch has seen. */
export function mergeSketch(sketch: Sketch, { hashes, size, registers }: Sketch): void {
  if (registers !== undefined) registersOf(sketch).absorb(registers.bytes)
  for (let i = 0; i < size; i++) addHash(sketch, hashes[i]!)
}

/** Turns hashes into registers. */
function registersOf(sketch: Sketch): Registers {
  if (sketch.registers !== undefined) return sketch.registers
  library ??= load()
  const registers = new library.Estimator()
  for (let i = 0; i < sketch.size; i++) registers.addHash(sketch.hashes[i]!)
  sketch.registers = registers
  sketch.hashes = NO_HASHES
  sketch.size = 0
  return registers
}

export const estimate = ({ size, registers }: Sketch): number =>
  registers === undefined ? size : Math.round(registers.count())

/** The same bytes for the same set of values. */
export function encodeSketch({ hashes, size, registers }: Sketch): Buffer {
  const bytes = Buffer.alloc(1 + (registers?.bytes.length ?? size * 4))
  bytes[0] = FORMAT
  if (registers !== undefined) bytes.set(registers.bytes, 1)
  else
    for (const [place, hash] of hashes.slice(0, size).sort().entries())
      bytes.writeInt32BE(hash, 1 + place * 4)
  return bytes
}

/** @throws Error when this version of Pebbles did not write it */
export function decodeSketch(bytes: Buffer): Sketch {
  if (bytes[0] !== FORMAT) throw new Error(`a sketch has the unknown format ${bytes[0]}`)
  const sketch = createSketch()
  if (bytes.length === 1 + 2 ** PRECISION) registersOf(sketch).absorb(bytes.subarray(1))
  else for (let at = 1; at < bytes.length; at += 4) addHash(sketch, bytes.readInt32BE(at))
  return sketch
}
