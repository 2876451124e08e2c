import type { Encoding } from '../job.ts'

/** What stands for a character that an encoding does not have. */
const UNKNOWN = 0x3f

/** Bytes of windows-1252 by code point, read from the platform's own table (WHATWG Encoding § 9). */
const WINDOWS_1252 = new Map(
  Array.from(new TextDecoder('windows-1252').decode(Uint8Array.from({ length: 256 }, (_, byte) => byte))).map(
    (character, byte) => [character.codePointAt(0)!, byte],
  ),
)

/** A text as bytes, the way back of reading a file. Windows-1252 gets a `?` for what it does not have. */
export function encodeText(text: string, encoding: Encoding): Buffer {
  switch (encoding) {
    case 'utf-8':
      return Buffer.from(text)
    case 'utf-16le':
      return Buffer.from(text, 'utf16le')
    case 'utf-16be':
      return Buffer.from(text, 'utf16le').swap16()
    case 'windows-1252':
      return Buffer.from(
        Array.from(text, (character) => WINDOWS_1252.get(character.codePointAt(0)!) ?? UNKNOWN),
      )
  }
}

/** The byte order mark that a file of UTF-16 begins with, by which programs know it; nothing for the others. */
export function byteOrderMark(encoding: Encoding): Buffer {
  return encoding.startsWith('utf-16') ? encodeText('\ufeff', encoding) : Buffer.alloc(0)
}
