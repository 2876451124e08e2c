/** Numbers, sizes and times as the page shows them. Clock and locale are fixed or passed in, so that texts are the same everywhere. */

const LOCALE = 'en'
const counts = new Intl.NumberFormat(LOCALE)
const compactCounts = new Intl.NumberFormat(LOCALE, { notation: 'compact', maximumFractionDigits: 1 })
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: 'auto' })
const minutes = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
const days = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', year: 'numeric' })
const instants = new Intl.DateTimeFormat(LOCALE, { dateStyle: 'full', timeStyle: 'medium' })

/** `1,234,567` */
export const formatCount = (count: number): string => counts.format(count)

/** `1,234,567`, and `12.3M` where there is no room for more digits. */
export const formatShortCount = (count: number): string =>
  count < 1_000_000 ? counts.format(count) : compactCounts.format(count)

/** `1 row`, `2 rows` */
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${formatCount(count)} ${count === 1 ? one : many}`

const UNITS = ['', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte']

/** `4.2 MB`; decimal units, as file managers show them. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3))
  const value = bytes / 1000 ** power
  const digits = value >= 100 ? 0 : 1
  const options = { style: 'unit', unit: UNITS[power]!, maximumFractionDigits: digits } as const
  return new Intl.NumberFormat(LOCALE, options).format(value)
}

/** Whole percents, rounded down: 100 means all of it, and nothing else does. */
export function percentOf(done: number, total: number): number {
  if (total <= 0) return 100
  return Math.max(0, Math.min(100, Math.floor((100 * done) / total)))
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** `just now`, `5 minutes ago`, `yesterday`; after a week the day. What lies ahead is the other clock's fault: `just now`. */
export function formatRelative(atMs: number, nowMs: number): string {
  const age = nowMs - atMs
  if (age < MINUTE_MS) return 'just now'
  if (age < HOUR_MS) return relative.format(-Math.floor(age / MINUTE_MS), 'minute')
  if (age < DAY_MS) return relative.format(-Math.floor(age / HOUR_MS), 'hour')
  if (age < 7 * DAY_MS) return relative.format(-Math.floor(age / DAY_MS), 'day')
  return days.format(atMs)
}

/** The day and the second, in the reader's time zone. */
export const formatExact = (atMs: number): string => instants.format(atMs)

/** `14:05`, in the reader's time zone. */
export const formatMinute = (atMs: number): string => minutes.format(atMs)

/** `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min` */
export function formatDuration(ms: number): string {
  if (ms < 10_000) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
