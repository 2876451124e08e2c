/**
 * The books of one stream of a client, pure: `received = counted + late + open + inFlight`, and as well
 * `archived + neverArchived + archiveInFlight`. Each number is kept by another hand: received by whoever appends,
 * counted, late and open by the aggregator, archived by the archiver; what is in flight is counted in the log behind the
 * position of each. Late events that revised an aggregate are among the late ones, and in the tables.
 */

/** What was found at one instant. */
export interface Found {
  received: number
  /** As the aggregator committed them. */
  counted: number
  late: number
  revised: number
  open: number
  /** Events in the log that the aggregator has not decided. */
  inFlight: number
  /** Undefined when nothing is archived. */
  archive:
    | {
        /** Events in objects, as the archiver committed them. */
        archived: number
        /** Events that left the log while nothing was archived. */
        never: number
        /** Events in the log behind those. */
        inFlight: number
      }
    | undefined
  tables: {
    /** Events of closed windows and of revisions, by the list of closings. */
    closings: number
    lateEvents: number
    /** Late events that are marked as revisions. */
    revisedEvents: number
    /** The same by the aggregates themselves; undefined when they were not counted. */
    aggregates: number | undefined
  }
}

export interface Balance {
  received: number
  counted: number
  late: number
  revised: number
  open: number
  inFlight: number
  /** Null when nothing is archived; then it is not compared. */
  archived: number | null
  neverArchived: number | null
  archiveInFlight: number | null
  balanced: boolean
  /** Every number that does not fit, told in a sentence; empty when `balanced`. */
  differences: string[]
}

export function balanceOf({ archive, tables, ...told }: Found): Balance {
  const { received, counted, late, revised, open, inFlight } = told
  const differences: string[] = []
  const compare = (what: string, found: number, told: number) => {
    if (found !== told) differences.push(`${what}: ${found} in the tables, ${told} by the aggregator`)
  }
  compare('events of closed windows and revisions', tables.closings, counted + revised)
  compare('late events', tables.lateEvents, late)
  compare('late events that revised', tables.revisedEvents, revised)
  if (tables.aggregates !== undefined) compare('events of aggregates', tables.aggregates, counted + revised)
  const sum = counted + late + open + inFlight
  if (sum !== received)
    differences.push(`events: ${received} received, ${sum} counted, late, open or in flight`)
  const { archived = null, never: neverArchived = null, inFlight: archiveInFlight = null } = archive ?? {}
  const inArchive = archive === undefined ? received : archive.archived + archive.never + archive.inFlight
  if (inArchive !== received)
    differences.push(
      `events: ${received} received, ${inArchive} archived, never archived or on their way there`,
    )
  const inObjects = { archived, neverArchived, archiveInFlight }
  return { ...told, ...inObjects, balanced: differences.length === 0, differences }
}
