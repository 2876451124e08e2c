import { textFault } from '../../platform/http/json.ts'

/** As for files of outside workers. */
export const MAX_FILENAME_BYTES = 1_024

/** The name of an uploaded file without the folders that some clients send along; either kind of slash. */
export function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
}

/** Why a file cannot have this name, or `undefined` when it can. */
export function filenameFault(filename: string): string | undefined {
  if (filename.trim() === '') return 'must have a filename'
  const bytes = Buffer.byteLength(filename)
  if (bytes > MAX_FILENAME_BYTES) {
    return `must not have a filename of more than ${MAX_FILENAME_BYTES} bytes of UTF-8, and has ${bytes}`
  }
  const fault = textFault(filename)
  return fault && `has a filename that ${fault}`
}
