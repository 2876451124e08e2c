import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createMongoDatabase, openTestMongo } from '../helpers/mongo.ts'
import { mongoMissing, startMongo } from '../helpers/services.ts'

interface Row {
  _id: string
  n: number
}

/** What the record store relies on, and what not every server that speaks the protocol has. */
describe('a MongoDB for tests', { skip: mongoMissing() }, () => {
  test('P16 of writers that name the same version one wins, and no increment is lost', async (t) => {
    const rows = openTestMongo(t, createMongoDatabase(t)).db.collection<Row>('rows')
    await rows.insertMany([
      { _id: 'guarded', n: 0 },
      { _id: 'counted', n: 0 },
    ])
    let winners = 0
    for (let n = 0; n < 50; n++) {
      const move = () => rows.updateOne({ _id: 'guarded', n }, { $set: { n: n + 1 } })
      const results = await Promise.all([move(), move(), move(), move()])
      winners += results.filter(({ matchedCount }) => matchedCount === 1).length
    }
    const increments = Array.from({ length: 400 }, () =>
      rows.updateOne({ _id: 'counted' }, { $inc: { n: 1 } }),
    )
    await Promise.all(increments)
    const counted = await rows.findOne({ _id: 'counted' })
    t.diagnostic(`${winners} winners in 50 rounds of 4; 400 increments give ${counted?.n}`)
    assert.equal(winners, 50)
    assert.equal(counted?.n, 400)
  })

  test('P16 an unordered insert tells which documents were there, and writes the others', async (t) => {
    const rows = openTestMongo(t, createMongoDatabase(t)).db.collection<Row>('rows')
    await rows.insertOne({ _id: 'b', n: 0 })
    const insert = rows.insertMany(
      ['a', 'b', 'c'].map((_id) => ({ _id, n: 1 })),
      { ordered: false },
    )
    await assert.rejects(insert, ({ writeErrors }: { writeErrors: { index: number; code: number }[] }) => {
      const errors = [writeErrors].flat().map(({ index, code }) => [index, code])
      assert.deepEqual(errors, [[1, 11000]])
      return true
    })
    assert.deepEqual(
      (await rows.find().sort({ _id: 1 }).toArray()).map(({ n }) => n),
      [1, 0, 1],
    )
  })

  test('P16 what was acknowledged is there after kill -9', async (t) => {
    const server = await startMongo(t)
    const url = createMongoDatabase(t, server.url)
    for (let round = 0; round < 3; round++) {
      const rows = openTestMongo(t, url).db.collection<Row>('rows')
      const acknowledged: string[] = []
      const writers = Array.from({ length: 8 }, async (_, writer) => {
        try {
          for (let n = 0; ; n++) {
            const _id = `${round} ${writer} ${n}`
            await rows.insertOne({ _id, n: 0 })
            await rows.updateOne({ _id }, { $set: { n: 1 } })
            acknowledged.push(_id)
          }
        } catch {
          // The server is gone.
        }
      })
      // However slow the machine: in the midst of writing, at an instant that differs.
      while (acknowledged.length < 20) await sleep(5)
      await sleep(Math.random() * 200)
      await server.kill()
      await Promise.all(writers)
      await server.restart()
      assert.equal(await rows.countDocuments({ _id: { $in: acknowledged }, n: 1 }), acknowledged.length)
    }
  })
})
