import { digest } from '../../platform/digest.ts'
import { type FieldFault, PebblesError } from '../../platform/errors.ts'
import type { StreamDefinition, StreamEvent } from '../definition.ts'
import type { NewEvent } from '../log/log.ts'

/** What became of the events of one request. */
export interface Ingested {
  /** Durable, those included that were there already. */
  accepted: number
  /** Of `accepted`: events that were appended before, under the same id. */
  duplicates: number
  refused: RefusedItem[]
}

export interface RefusedItem {
  /** Its place among the items of the request, from 0 on. */
  item: number
  errors: FieldFault[]
}

/** Faults told of one item; its sender sends 10,000 of them. */
const MAX_ITEM_FAULTS = 10

export interface Sifted {
  events: NewEvent[]
  refused: RefusedItem[]
}

/**
 * Checks events one by one; one that is not valid harms no other.
 *
 * @param items values as they were sent; an error stands for what could not be read
 * @param key of the request, its caller's: with the place of an event it is the id of one that has none of its own
 */
export function sift(
  definition: StreamDefinition,
  clientKrn: string,
  items: readonly unknown[],
  key: string | undefined,
): Sifted {
  const nowMs = Date.now()
  const events: NewEvent[] = []
  const refused: RefusedItem[] = []
  for (const [item, value] of items.entries()) {
    const errors = faultsOf(definition, value, nowMs)
    if (errors.length > 0) refused.push({ item, errors: errors.slice(0, MAX_ITEM_FAULTS) })
    else events.push(toNewEvent(definition, clientKrn, value as StreamEvent, key, item))
  }
  return { events, refused }
}

function faultsOf(definition: StreamDefinition, value: unknown, nowMs: number): FieldFault[] {
  if (!(value instanceof PebblesError)) return definition.check(value, nowMs)
  return value.faults.length > 0 ? value.faults : [{ field: 'body', message: value.message }]
}

function toNewEvent(
  { name: stream, keyOf }: StreamDefinition,
  clientKrn: string,
  event: StreamEvent,
  key: string | undefined,
  item: number,
): NewEvent {
  const { event_id } = event
  const id =
    event_id !== undefined
      ? digest('event', clientKrn, stream, String(event_id))
      : key !== undefined
        ? digest('event-key', clientKrn, stream, key, String(item))
        : undefined
  return { clientKrn, stream, key: keyOf(event), payload: JSON.stringify(event), id }
}
