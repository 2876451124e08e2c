/**
 * Turns an OpenAPI 3.1 document into TypeScript: one interface `paths`, laid out as openapi-typescript does it
 * (`paths['/health']['get']['responses'][200]['content']['text/plain']`), so that it can take over.
 *
 * Why not openapi-typescript itself: its newest release (7.13) builds its output with the compiler API of
 * TypeScript 5, which TypeScript 7 no longer has, and npm refuses to install the two side by side. What the
 * service's document uses of JSON Schema fits on this page; anything else stops the generator.
 */

type Json = Record<string, unknown>

interface Schema extends Json {
  type?: string | string[]
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  enum?: unknown[]
  const?: unknown
  $ref?: string
  additionalProperties?: boolean | Schema
  patternProperties?: Record<string, Schema>
  description?: string
}

interface Parameter {
  in: string
  name: string
  required?: boolean
  description?: string
  schema: Schema
}

type Content = Record<string, { schema?: Schema }>

interface Operation {
  summary?: string
  parameters?: Parameter[]
  requestBody?: { content: Content; required?: boolean }
  responses: Record<string, { content?: Content }>
}

export interface OpenApiDocument {
  paths: Record<string, Record<string, Operation>>
  components?: { schemas?: Record<string, Schema> }
}

const PROBLEM = 'application/problem+json'
const HEAD = `// Generated from the service's /openapi.json: \`npm run generate -w client\`. Do not edit.\n`

/** @throws Error when the document uses a form of JSON Schema that is not known here */
export function openapiToTypes(document: OpenApiDocument): string {
  let problem: Schema | undefined
  const paths: string[] = []
  for (const [path, methods] of sorted(document.paths)) {
    const operations = sorted(methods).map(([method, operation]) => {
      for (const { content } of Object.values(operation.responses)) problem ??= content?.[PROBLEM]?.schema
      return comment(operation.summary) + member(method, typeOfOperation(operation))
    })
    paths.push(member(path, block(operations)))
  }
  const schemas = sorted(document.components?.schemas ?? {}).map(([name, schema]) =>
    describe(name, schema, true),
  )
  const parts = [
    HEAD,
    `export interface paths ${block(paths)}\n`,
    `export interface components ${block([member('schemas', block(schemas))])}\n`,
  ]
  if (problem) parts.push(`${comment(problem.description)}export type Problem = ${typeOf(problem)}\n`)
  return parts.join('\n')
}

function typeOfOperation({ parameters = [], requestBody, responses }: Operation): string {
  const places = ['path', 'query', 'header'].flatMap((place) => {
    const here = parameters.filter((parameter) => parameter.in === place)
    const members = here.map(({ name, schema, required = false, description }) =>
      describe(name, description ? { ...schema, description } : schema, required),
    )
    const isNeeded = here.some(({ required }) => required)
    return members.length > 0 ? [member(place, block(members), isNeeded)] : []
  })
  const answers = sorted(responses).map(([status, { content }]) =>
    member(status, block([member('content', typeOfContent(content ?? {}))])),
  )
  return block([
    ...(places.length > 0 ? [member('parameters', block(places))] : []),
    ...(requestBody
      ? [member('requestBody', block([member('content', typeOfContent(requestBody.content))]))]
      : []),
    member('responses', block(answers)),
  ])
}

function typeOfContent(content: Content): string {
  // Every refusal has the same form: named once instead of repeated a hundred times.
  const types = sorted(content).map(([type, { schema = {} }]) =>
    member(type, type === PROBLEM ? 'Problem' : typeOf(schema)),
  )
  return types.length > 0 ? block(types) : 'Record<string, never>'
}

function typeOf(schema: Schema): string {
  if (schema.$ref) return `components['schemas']['${schema.$ref.replace('#/components/schemas/', '')}']`
  if ('const' in schema) return JSON.stringify(schema.const)
  if (schema.enum) return union(schema.enum.map((value) => JSON.stringify(value)))
  const options = schema.anyOf ?? schema.oneOf
  if (options) return union(options.map(typeOf))
  if (schema.allOf) return schema.allOf.map((part) => `(${typeOf(part)})`).join(' & ')
  if (Array.isArray(schema.type)) return union(schema.type.map((type) => typeOf({ ...schema, type })))
  switch (schema.type) {
    case 'string':
    case 'boolean':
    case 'null':
      return schema.type
    case 'integer':
    case 'number':
      return 'number'
    case 'array':
      return `Array<${typeOf(schema.items ?? {})}>`
    case 'object':
      return typeOfObject(schema)
    case undefined:
      return schema.properties ? typeOfObject(schema) : 'unknown'
    default:
      throw new Error(`no TypeScript type is known for ${JSON.stringify(schema)}`)
  }
}

function typeOfObject({
  properties = {},
  required = [],
  additionalProperties,
  patternProperties,
}: Schema): string {
  const members = Object.entries(properties).map(([name, schema]) =>
    describe(name, schema, required.includes(name)),
  )
  if (members.length > 0) return block(members)
  const values = [...Object.values(patternProperties ?? {})]
  if (typeof additionalProperties === 'object') values.push(additionalProperties)
  return `Record<string, ${values.length > 0 ? union(values.map(typeOf)) : 'unknown'}>`
}

function describe(name: string, schema: Schema, isRequired: boolean): string {
  return comment(schema.description) + member(name, typeOf(schema), isRequired)
}

const sorted = <T>(map: Record<string, T>) => Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1))
const union = (types: string[]) => [...new Set(types)].join(' | ')
const comment = (text?: string) => (text ? `/** ${text.replaceAll('*/', '*\\/')} */\n` : '')
const member = (name: string, type: string, isRequired = true) =>
  `${/^[a-zA-Z_]\w*$|^\d+$/.test(name) ? name : `'${name}'`}${isRequired ? '' : '?'}: ${type}`

function block(members: string[]): string {
  const lines = members.join('\n').split('\n')
  return members.length === 0 ? '{}' : `{\n${lines.map((line) => `  ${line}`).join('\n')}\n}`
}
