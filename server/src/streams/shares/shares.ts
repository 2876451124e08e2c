/** A process, and the parts of the work that are its. */
export interface Holder {
  id: string
  parts: readonly number[]
}

/**
 * Deals the parts of the work, pure: everyone has as many as the others, or one more. Whoever has too many keeps as many
 * as it may, and no other part changes hands: when one joins, parts go to it alone; when one leaves, its parts alone go.
 *
 * @param parts their number; they are counted from 0
 * @param holders those who are there, in an order that all agree on. What more than one of them holds stays with one
 * @returns the parts of each, in their order
 */
export function dealParts(parts: number, holders: readonly Holder[]): Map<string, number[]> {
  const free = new Set(Array.from({ length: parts }, (_, part) => part))
  const fewest = Math.floor(parts / holders.length)
  // The ones that are over are for those who have most: so nobody gives up one that another gets.
  const byMost = holders.toSorted((a, b) => b.parts.length - a.parts.length)
  const hands = byMost.map(({ id, parts: held }, place) => {
    const room = fewest + (place < parts % holders.length ? 1 : 0)
    const kept = spread(
      held.filter((part) => free.has(part)),
      room,
    )
    for (const part of kept) free.delete(part)
    return { id, room, kept }
  })
  const left = free.values()
  while (hands.some(({ room, kept }) => kept.length < room))
    for (const { room, kept } of hands) if (kept.length < room) kept.push(left.next().value!)
  return new Map(hands.map(({ id, kept }) => [id, kept.sort((a, b) => a - b)]))
}

/** So many of them, from everywhere: neighbours are of one kind, and one kind may be more work than another. */
function spread(parts: readonly number[], most: number): number[] {
  if (parts.length <= most) return [...parts]
  const step = (place: number) => Math.floor((place * most) / parts.length)
  return parts.filter((_, place) => step(place + 1) > step(place))
}
