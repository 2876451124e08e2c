const FIRST_SIZE = 16 * 1024

/** Bytes written one after the other into a buffer that grows as it must. */
export interface ByteWriter {
  /** Room for so many bytes more, to be written from `end` on. */
  reserve(bytes: number): Buffer
  /** How many bytes were written. Whoever writes into the buffer moves it. */
  end: number
  /** What was written. */
  bytes(): Uint8Array
}

/** @param used  a buffer of an earlier writer, which is written over: large ones are dear to make and to clear away */
export function createByteWriter(used?: ArrayBuffer): ByteWriter {
  // Never from Node's pool, which could not be handed to another thread.
  let buffer = used ? Buffer.from(used) : Buffer.allocUnsafeSlow(FIRST_SIZE)
  const writer: ByteWriter = {
    end: 0,
    reserve(bytes) {
      if (writer.end + bytes > buffer.length) {
        const larger = Buffer.allocUnsafeSlow(Math.max(2 * buffer.length, writer.end + bytes))
        buffer.copy(larger, 0, 0, writer.end)
        buffer = larger
      }
      return buffer
    },
    bytes: () => buffer.subarray(0, writer.end),
  }
  return writer
}
