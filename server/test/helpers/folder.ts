import { mkdtemp, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const MEMORY = '/dev/shm'
/** Several times what a whole run has in it at one time. A container has 64 MB, if nobody says otherwise. */
const ROOM_BYTES = 4 * 2 ** 30

/**
 * Where servers have their data: in memory where there is room. Databases that come and go with each test are files that
 * are made and removed by the hundred, and a disk takes longer about them than the tests take.
 */
export async function folderForData(): Promise<string> {
  const { bavail, bsize } = await statfs(MEMORY).catch(() => ({ bavail: 0, bsize: 0 }))
  return bavail * bsize >= ROOM_BYTES ? MEMORY : tmpdir()
}

export const makeFolder = async (name = ''): Promise<string> =>
  mkdtemp(join(await folderForData(), `pebbles-test-${name}`))
