import type { FastifyRequest, onRequestHookHandler } from 'fastify'
import type { Pool } from 'pg'
import Type from 'typebox'
import { PebblesError } from '../platform/errors.ts'
import type { App } from '../platform/http/app.ts'
import { problems } from '../platform/http/problem.ts'
import { invalidRequest, validatorCompiler } from '../platform/http/validation.ts'
import { CUSTOMERS } from './customers.ts'
import { DatasetBodySchema, DatasetSchema, type Declaration, MAX_DECLARATION_BYTES } from './declaration.ts'
import { checkDeclaration, toDeclaration } from './declaration-faults.ts'
import { findDeclaration, listDatasets, putDataset, type StoredDataset } from './store-postgres.ts'

export interface DatasetRoutes {
  /** Whose datasets are meant: as with jobs, the token says. */
  access: {
    hook: onRequestHookHandler
    callerOf(request: FastifyRequest): { clientKrn: string; email: string }
  }
  pool: Pool
}

/** Everything below `/api/datasets`. */
export function registerDatasetRoutes(app: App, { access, pool }: DatasetRoutes): void {
  app.get(
    '/api/datasets',
    {
      onRequest: access.hook,
      schema: {
        summary: 'List datasets',
        description:
          'All datasets that a file can be uploaded for: the built-in one, then the client’s own by name.',
        tags: ['datasets'],
        response: { 200: Type.Array(DatasetSchema), ...problems(401, 403, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => (await listDatasets(pool, access.callerOf(request).clientKrn)).map(showDataset),
  )

  app.get(
    '/api/datasets/:name',
    {
      onRequest: access.hook,
      schema: {
        summary: 'Read a dataset',
        tags: ['datasets'],
        params: Type.Object({ name: Type.String({ maxLength: 100, description: 'A dataset’s name.' }) }),
        response: { 200: DatasetSchema, ...problems(401, 403, 404, 503) },
      },
      serializerCompiler: () => JSON.stringify,
    },
    async (request) => {
      const found = await findDeclaration(pool, access.callerOf(request).clientKrn, request.params.name)
      if (!found) throw new PebblesError('not_found', 'There is no such dataset.')
      return showDataset(found)
    },
  )

  app.put(
    '/api/datasets',
    {
      onRequest: access.hook,
      bodyLimit: MAX_DECLARATION_BYTES,
      schema: {
        summary: 'Declare a dataset',
        description:
          'Creates the dataset of this name, or its next version; the same again changes nothing. Columns and unique keys can be added, rules changed at will, types not. Jobs are checked against the version that they were uploaded for.',
        tags: ['datasets'],
        body: DatasetBodySchema,
        response: { 200: DatasetSchema, ...problems(400, 401, 403, 413, 415, 503) },
      },
      validatorCompiler: (route) => (route.httpPart === 'body' ? checkBody : validatorCompiler(route)),
      serializerCompiler: () => JSON.stringify,
    },
    async (request, reply) => {
      const { declaration, ...stored } = await putDataset(
        pool,
        access.callerOf(request),
        toDeclaration(request.body),
      )
      reply.header('location', `/api/datasets/${declaration.name}`)
      return showDataset({ declaration, ...stored })
    },
  )
}

/** Schema and meaning together, so that one answer names every bad field. */
function checkBody(value: unknown) {
  const faults = checkDeclaration(value)
  if ((value as Declaration | null)?.name === CUSTOMERS.name) {
    faults.push({ field: 'name', message: 'is the built-in dataset, which cannot be changed' })
  }
  return faults.length === 0 ? { value } : { error: invalidRequest(faults) }
}

function showDataset({ declaration, version, createdAt }: StoredDataset) {
  const { name, columns, uniqueKeys = [] } = declaration
  const isBuiltIn = version === 0
  return { name, version, isBuiltIn, createdAt: createdAt?.toISOString() ?? null, columns, uniqueKeys }
}
