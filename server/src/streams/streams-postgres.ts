import type { Pool } from 'pg'
import { invalidRequest } from '../platform/http/validation.ts'
import { inTransaction, orAway } from '../platform/postgres/database.ts'
import {
  isSameFold,
  MAX_STREAMS,
  PAGEVIEWS,
  PAGEVIEWS_DECLARATION,
  type StreamDeclaration,
} from './declaration.ts'
import { defineStream, type StreamDefinition } from './definition.ts'
import type { StoredStream, Streams } from './streams.ts'

const FRESH_MS = 5_000
const MAX_CACHED = 10_000

/** @param pageviewsGraceMs of the built-in stream */
export function createStreams(pool: Pool, pageviewsGraceMs: number): Streams {
  const builtIn = { ...PAGEVIEWS_DECLARATION, graceSeconds: pageviewsGraceMs / 1_000 }
  const pageviews = defineStream(PAGEVIEWS, builtIn)
  let cached = new Map<string, { definition: StreamDefinition; readAt: number }>()

  const first: StoredStream = { name: PAGEVIEWS, declaration: builtIn, updatedAt: null }

  async function list(clientKrn: string): Promise<StoredStream[]> {
    const { rows } = await orAway(
      pool.query({
        name: 'list-streams',
        text: 'SELECT name, declaration, updated_at FROM streams WHERE client_krn = $1 ORDER BY name',
        values: [clientKrn],
      }),
    )
    return [first, ...rows.map(toStored)]
  }

  async function find(clientKrn: string, name: string): Promise<StoredStream | undefined> {
    if (name === PAGEVIEWS) return first
    const { rows } = await orAway(
      pool.query({
        name: 'find-stream',
        text: 'SELECT name, declaration, updated_at FROM streams WHERE client_krn = $1 AND name = $2',
        values: [clientKrn, name],
      }),
    )
    return rows.map(toStored)[0]
  }

  async function define(clientKrn: string, name: string): Promise<StreamDefinition | undefined> {
    if (name === PAGEVIEWS) return pageviews
    const id = `${name}\0${clientKrn}`
    const known = cached.get(id)
    if (known && Date.now() - known.readAt < FRESH_MS) return known.definition
    const found = await find(clientKrn, name)
    if (!found) return undefined
    const definition = defineStream(name, found.declaration)
    if (cached.size >= MAX_CACHED) cached = new Map()
    cached.set(id, { definition, readAt: Date.now() })
    return definition
  }

  async function put(
    { clientKrn, email }: { clientKrn: string; email: string },
    name: string,
    declaration: StreamDeclaration,
  ): Promise<StoredStream> {
    const stored = await orAway(
      inTransaction(pool, async (tx) => {
        await tx.query(`SELECT pg_advisory_xact_lock(hashtext('pebbles.streams'), hashtext($1))`, [clientKrn])
        const { rows } = await tx.query('SELECT name, declaration FROM streams WHERE client_krn = $1', [
          clientKrn,
        ])
        const current = rows.find((row) => row.name === name)
        if (current && !isSameFold(current.declaration, declaration)) throw fixed()
        if (!current && rows.length >= MAX_STREAMS) throw oneTooMany()
        const written = await tx.query(
          `INSERT INTO streams (client_krn, name, declaration, email) VALUES ($1, $2, $3, $4)
           ON CONFLICT (client_krn, name) DO UPDATE
             SET declaration = excluded.declaration, email = excluded.email, updated_at = now()
           RETURNING name, declaration, updated_at`,
          [clientKrn, name, JSON.stringify(declaration), email],
        )
        return toStored(written.rows[0])
      }),
    )
    cached.delete(`${name}\0${clientKrn}`)
    return stored
  }

  return { pageviews, list, find, define, put }
}

const fixed = () =>
  invalidRequest([
    {
      field: 'body',
      message:
        'changes key, timestamp, windowSeconds, graceSeconds, measures or the type of a key: these stay as declared',
    },
  ])

const oneTooMany = () =>
  invalidRequest([{ field: 'stream', message: `is one too many: a client can have ${MAX_STREAMS} streams` }])

// biome-ignore lint/suspicious/noExplicitAny: rows come untyped from the driver; this is where they get their type.
const toStored = ({ name, declaration, updated_at }: any): StoredStream => ({
  name,
  declaration,
  updatedAt: updated_at,
})
