import Type from 'typebox'
import { PebblesError } from '../platform/errors.ts'
import { ClientParams } from '../progress/http/schema.ts'
import type { StreamDeclaration } from './declaration.ts'
import type { StreamDefinition } from './definition.ts'

export interface StoredStream {
  name: string
  declaration: StreamDeclaration
  /** Null for what is built in. */
  updatedAt: Date | null
}

/** The streams of all clients: the built-in one, and those that were declared. */
export interface Streams {
  /** The built-in one, which every client has. */
  readonly pageviews: StreamDefinition
  /** The built-in one, then those that the client has declared, by name. */
  list(clientKrn: string): Promise<StoredStream[]>
  /** @returns `undefined` when the client has no such stream */
  find(clientKrn: string, name: string): Promise<StoredStream | undefined>
  /** As {@link find}, ready for use, and up to five seconds old. */
  define(clientKrn: string, name: string): Promise<StreamDefinition | undefined>
  /** @throws PebblesError `invalid_request` when it would change how events are counted */
  put(
    caller: { clientKrn: string; email: string },
    name: string,
    declaration: StreamDeclaration,
  ): Promise<StoredStream>
}

export const StreamParams = Type.Object({
  ...ClientParams.properties,
  stream: Type.String({ pattern: '^[a-z][a-z0-9_]{0,62}$', description: 'Name of the stream.' }),
})

/** @throws PebblesError `not_found` */
export async function requireStream(
  streams: Streams,
  clientKrn: string,
  name: string,
): Promise<StreamDefinition> {
  const found = await streams.define(clientKrn, name)
  if (!found) throw noSuchStream(name)
  return found
}

export const noSuchStream = (name: string) =>
  new PebblesError('not_found', `This client has declared no stream ${name}.`)
