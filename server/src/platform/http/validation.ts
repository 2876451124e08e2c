import type { FastifySchemaCompiler } from 'fastify'
import Type, { type TObject, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { Settings } from 'typebox/system'
import { type FieldFault, PebblesError } from '../errors.ts'
import { MAX_FAULTS, shortField, textFault } from './json.ts'

Settings.Set({ maxErrors: MAX_FAULTS })

/** Lists every way in which a value breaks its schema, each with the path of the field; empty when it is valid. */
export type Check = (value: unknown) => FieldFault[]

/** Nothing is coerced, dropped or filled in: what is checked is what was sent. */
export function compileCheck(schema: TSchema): Check {
  const validator = Compile(schema)
  return (value) => {
    if (validator.Check(value)) return []
    const faults = validator.Errors(value).flatMap(toFaults)
    return faults.length > 0 ? faults.slice(0, MAX_FAULTS) : [{ field: 'body', message: 'is not valid' }]
  }
}

type SchemaError = ReturnType<ReturnType<typeof Compile>['Errors']>[number]

function toFaults({ keyword, instancePath, params, message }: SchemaError): FieldFault[] {
  const at = (name?: string) => fieldName(instancePath, name)
  if (keyword === 'required') {
    const { requiredProperties } = params as { requiredProperties: string[] }
    return requiredProperties.map((name) => ({ field: at(name), message: 'is required' }))
  }
  // An unknown field, told by itself; what tells all of them at once would come after them, and find the list full.
  if (keyword === 'boolean') return [{ field: at(), message: 'is not a known field' }]
  if (keyword === 'additionalProperties') return []
  if (keyword === 'enum') {
    const { allowedValues } = params as { allowedValues: unknown[] }
    return [{ field: at(), message: `must be one of ${allowedValues.join(', ')}` }]
  }
  return [{ field: at(), message }]
}

/** `/errors/3/line` becomes `errors[3].line`. */
function fieldName(pointer: string, name?: string): string {
  const steps = pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (name !== undefined) steps.push(name)
  const path = steps
    .map((step, index) => (/^\d+$/.test(step) ? `[${step}]` : index > 0 ? `.${step}` : step))
    .join('')
  return path === '' ? 'body' : shortField(path)
}

/**
 * Fastify's validator. Bodies are checked as they are. Path and query are text: it may not hold characters that cannot
 * be stored, whole numbers in it (`?limit=20`) are read first, and a parameter that is not known is refused. Passed over,
 * `?fliename=a` would be answered with all files.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const check = compileCheck(schema)
  if (httpPart === 'body') return (value: unknown) => answer(value, check(value))
  const { properties } = schema as TObject
  const names = Object.keys(properties)
  const numbers = names.filter((name) => Type.IsInteger(properties[name]))
  const unknown = `is not a known parameter; ${names.length > 0 ? `known: ${names.join(', ')}` : 'there are none here'}`
  const faultOf = (name: string, value: unknown) => {
    if (!Object.hasOwn(properties, name)) return unknown
    if (Array.isArray(value)) return 'is given more than once'
    return typeof value === 'string' ? textFault(value) : undefined
  }
  return (given: Record<string, unknown>) => {
    const bad = Object.entries(given).flatMap(([name, value]) => {
      const message = faultOf(name, value)
      return message ? [{ field: shortField(name), message }] : []
    })
    const value = numbers.length > 0 ? readNumbers(given, numbers) : given
    if (bad.length === 0) return answer(value, check(value))
    const others = check(value).filter(({ field }) => bad.every((told) => told.field !== field))
    return answer(value, [...bad, ...others].slice(0, MAX_FAULTS))
  }
}

/** Reads digits only: `1e2`, `0x10`, `1.0`, `true` or nothing at all stay text, which the schema then refuses. */
function readNumbers(given: Record<string, unknown>, names: string[]): Record<string, unknown> {
  const value = { ...given }
  for (const name of names) {
    const text = value[name]
    if (typeof text === 'string' && /^\d{1,16}$/.test(text)) value[name] = Number(text)
  }
  return value
}

function answer(value: unknown, faults: FieldFault[]) {
  return faults.length === 0 ? { value } : { error: invalidRequest(faults) }
}

export function invalidRequest(faults: FieldFault[]): PebblesError {
  const fields = [...new Set(faults.map(({ field }) => field))]
  const named = fields.slice(0, 5).join(', ') + (fields.length > 5 ? ` and ${fields.length - 5} more` : '')
  return new PebblesError('invalid_request', `Not valid: ${named}.`, { faults })
}
