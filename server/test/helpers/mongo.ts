import { randomBytes } from 'node:crypto'
import { MongoClient } from 'mongodb'
import { type MongoDatabase, openMongo } from '../../src/platform/mongo/connection.ts'
import { type MongoStore, openMongoStore } from '../../src/progress/mongo/store-mongo.ts'
import { atEnd, type Scope } from './scope.ts'
import { sharedMongo } from './services.ts'

/** The address of a database of its own on the one server of all test files, dropped afterwards. */
export function createMongoDatabase(scope: Scope, serverUrl = sharedMongo().MONGO_URI!): string {
  const url = new URL(serverUrl)
  url.pathname = `test_${randomBytes(6).toString('hex')}`
  atEnd(scope, async () => {
    const client = new MongoClient(url.href, { serverSelectionTimeoutMS: 2_000 })
    await client
      .db()
      .dropDatabase()
      .catch(() => {})
    await client.close()
  })
  return url.href
}

export function openTestMongo(scope: Scope, url: string): MongoDatabase {
  const database = openMongo({ url, maxConnections: 20 })
  atEnd(scope, () => database[Symbol.asyncDispose]())
  return database
}

export function openMongoTestStore(scope: Scope, url: string): Promise<MongoStore> {
  return openMongoStore(openTestMongo(scope, url))
}
