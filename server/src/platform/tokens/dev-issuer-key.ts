/**
 * The key file of the development issuer, made once however many processes start at the same instant.
 */
import { generateKeyPair, randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { PebblesError } from '../errors.ts'

/**
 * The private key of a data folder as a JWK (RFC 8037: `{kty: "OKP", crv: "Ed25519", x, d}`), made when the
 * folder has none. The content is not checked beyond being a JSON object.
 *
 * @throws PebblesError `misconfigured` when the file cannot be read or made, or holds no JSON object
 */
export async function readOrCreateKey(dataDir: string): Promise<Record<string, unknown>> {
  const path = join(dataDir, 'dev-issuer.json')
  try {
    const present = await readIfPresent(path)
    if (present !== undefined) return parseKey(present)
    await mkdir(dataDir, { recursive: true })
    await createOnce(path)
    // Read back what is there now: another process may have come first.
    return parseKey(await readFile(path, 'utf8'))
  } catch (error) {
    if (error instanceof PebblesError) throw error
    throw new PebblesError('misconfigured', 'The data folder cannot hold the key of the development issuer', {
      cause: error,
    })
  }
}

/**
 * Writes a new key beside `path` and links it into place. link(2) fails when the name exists and shows the
 * whole content when it does not: creating `path` itself with O_EXCL would let others read half a file, and
 * rename(2) would replace a key that another process already uses.
 */
async function createOnce(path: string): Promise<void> {
  const { privateKey } = await promisify(generateKeyPair)('ed25519')
  const draft = `${path}.${randomUUID()}.tmp`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(`${JSON.stringify(privateKey.export({ format: 'jwk' }))}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await link(draft, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    await rm(draft, { force: true })
  }
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function parseKey(text: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null) return parsed as Record<string, unknown>
  } catch {
    // Answered below, without the reason: a SyntaxError of JSON.parse quotes the text, here a private key.
  }
  throw new PebblesError(
    'misconfigured',
    'dev-issuer.json in the data folder is not JSON; delete it to have a new key made',
  )
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
