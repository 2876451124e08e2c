import type { Component, Finding } from './components.ts'

/** A component as it was found. */
export interface Found extends Finding, Pick<Component, 'name' | 'group'> {}

export interface Answer {
  status: 200 | 503
  /** For anybody: no address, account or key is in it. */
  body: object
}

/** How all components are, asked at the same time. */
export async function lookAtAll(components: readonly Component[]): Promise<Found[]> {
  const found = await Promise.all(
    components.map(async ({ look, ...component }) => {
      const finding = await look()
      return finding && { ...component, ...finding }
    }),
  )
  return found.filter((one) => one !== undefined)
}

/** The answer of `/readyz`. */
export function readinessOf(found: readonly Found[]): Answer {
  const isReady = !found.some(({ isBlocking }) => isBlocking)
  const shown = byName(
    found,
    ({ group, isUp, told }) => (group ? told : isUp),
    (members) => members,
  )
  return { status: isReady ? 200 : 503, body: { status: isReady ? 'ready' : 'not ready', ...shown } }
}

/** The answer of `/actuator/health`, in Spring Boot's shape: down when any component is, also one that blocks nothing. */
export function actuatorHealthOf(found: readonly Found[]): Answer {
  return actuatorAnswer(found, { groups: ['liveness', 'readiness'] })
}

/** The answer of `/actuator/health/readiness`: as `/readyz` decides, with the components that are the reason. */
export function actuatorReadinessOf(found: readonly Found[]): Answer {
  return actuatorAnswer(found.filter(({ isBlocking }) => isBlocking))
}

function actuatorAnswer(found: readonly Found[], more = {}): Answer {
  const statusOf = (some: readonly Found[]) => (some.every(({ isUp }) => isUp) ? 'UP' : 'DOWN')
  const components = byName(
    found,
    (one) => ({ status: statusOf([one]), ...(one.told && { details: one.told }) }),
    (members, of) => ({ status: statusOf(of), components: members }),
  )
  const status = statusOf(found)
  const body = { status, ...(found.length > 0 && { components }), ...more }
  return { status: status === 'UP' ? 200 : 503, body }
}

/** Components by name, those of a group in an object of their own. */
function byName(
  found: readonly Found[],
  show: (one: Found) => unknown,
  showGroup: (members: Record<string, unknown>, of: readonly Found[]) => unknown,
): Record<string, unknown> {
  const shown = (some: readonly Found[]) => Object.fromEntries(some.map((one) => [one.name, show(one)]))
  const groups = Map.groupBy(found, ({ group }) => group)
  const nested: Record<string, unknown> = shown(groups.get(undefined) ?? [])
  for (const [group, of] of groups) if (group !== undefined) nested[group] = showGroup(shown(of), of)
  return nested
}
