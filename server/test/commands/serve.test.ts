import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createTestDatabase, openTestPool } from '../helpers/database.ts'
import { createTestDir } from '../helpers/server.ts'
import { runCommand } from './run-command.ts'

describe('a start that cannot be', { concurrency: true }, () => {
  const serve = (env: Record<string, string>) => runCommand(['serve'], { PORT: '0', ...env })

  test('P23 without its database it ends, and names the variable and the place but no password', async () => {
    const { code, stderr } = await serve({ DATABASE_URL: 'postgres://joe:secret@127.0.0.1:1/pebbles' })
    assert.equal(code, 1)
    assert.match(stderr, /^The database pebbles at 127\.0\.0\.1:1 cannot be used \(DATABASE_URL\)\.\n {2}\S/)
    assert.doesNotMatch(stderr, /secret|\n {4}at /)
  })

  test('P16 without its MongoDB as well, and the database is not claimed for a MongoDB that never answered', async (t) => {
    const DATABASE_URL = await createTestDatabase(t)
    const { code, stderr } = await serve({
      DATABASE_URL,
      PEBBLES_DATA: await createTestDir(t),
      MONGO_URI: 'mongodb://joe:secret@127.0.0.1:1/pebbles',
    })
    assert.equal(code, 1)
    assert.match(stderr, /MongoDB cannot be used \(MONGO_URI\)\.\n {2}\S/)
    assert.doesNotMatch(stderr, /secret|\n {4}at /)
    const { rows } = await openTestPool(t, DATABASE_URL).query('SELECT records_in_mongo FROM installation')
    assert.deepEqual(rows, [{ records_in_mongo: false }])
  })
})
