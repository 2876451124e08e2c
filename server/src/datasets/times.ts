import type { Shape } from './column-types.ts'

// The year comes first, so the order of the others is no guess; 03/04/2026 is two days, depending on who reads it.
const DATE = /^\d{4}(?:-\d\d-\d\d|\/\d\d\/\d\d)$/
const TIMESTAMP =
  /^(\d{4}-\d\d-\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,30}))?)?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)?$/
const NO_DAY = 'is no day of the calendar'
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
/** The widest offsets in use are −12:00 and +14:00; PostgreSQL reads up to 15:59. */
const MAX_OFFSET_MINUTES = 14 * 60

const dashed = (value: string) => (value[4] === '/' ? value.replaceAll('/', '-') : value)

/** A day of the calendar, from year 1 to 9999: `2026-03-31`, also with slashes. */
export const dateShape: Shape = {
  findFault(value) {
    if (!DATE.test(value)) return 'is not a date such as 2026-03-31'
    return isDay(value) ? undefined : NO_DAY
  },
  normalize: dashed,
  order: dashed,
}

/**
 * An instant (ISO 8601), exact to the microsecond, with `Z` or an offset: without one nobody knows when it was. What
 * PostgreSQL would round (a seventh digit) or carry over (second 60, hour 24) is refused.
 */
export const timestampShape: Shape = {
  findFault(value) {
    const parts = TIMESTAMP.exec(value)
    if (!parts) return 'is not a time such as 2026-03-31T14:30:00Z'
    const [, date = '', hour = '', minute = '', second = '0', fraction = '', zulu, sign, hours, minutes] =
      parts
    if (!isDay(date)) return NO_DAY
    if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return 'is no time of the day'
    if (zulu === undefined && sign === undefined) {
      return 'has no time zone: it needs a Z or an offset such as +02:00'
    }
    if (Number(minutes ?? 0) > 59 || offsetMinutes(hours, minutes) > MAX_OFFSET_MINUTES) {
      return 'has an offset that no time zone has'
    }
    if (/[1-9]/.test(fraction.slice(6))) return 'must not be finer than microseconds'
    return undefined
  },
  normalize(value) {
    const [, date, hour, minute, second = '00', fraction = '', , sign, hours, minutes = '00'] =
      TIMESTAMP.exec(value)!
    const micros = fraction === '' ? '' : `.${fraction.slice(0, 6)}`
    const offset = sign === undefined ? 'Z' : `${sign}${hours}:${minutes}`
    return `${date}T${hour}:${minute}:${second}${micros}${offset}`
  },
  /** Microseconds since 1970. */
  order(value) {
    const [, date = '', hour, minute, second = '0', fraction = '', , sign, hours, minutes] =
      TIMESTAMP.exec(value)!
    const offset = offsetMinutes(hours, minutes) * (sign === '-' ? -1 : 1)
    const dayMinutes = Number(hour) * 60 + Number(minute) - offset
    const seconds = Date.parse(date) / 1000 + dayMinutes * 60 + Number(second)
    return BigInt(seconds) * 1_000_000n + BigInt(fraction.slice(0, 6).padEnd(6, '0'))
  },
}

const offsetMinutes = (hours = '0', minutes = '0') => Number(hours) * 60 + Number(minutes)

/** Of the Gregorian calendar, extended backwards as PostgreSQL does. */
function isDay(date: string): boolean {
  const year = Number(date.slice(0, 4))
  const month = Number(date.slice(5, 7))
  const day = Number(date.slice(8, 10))
  if (year < 1 || month < 1 || month > 12 || day < 1) return false
  const isLeapDay = month === 2 && day === 29 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  return day <= MONTH_DAYS[month - 1]! || isLeapDay
}
